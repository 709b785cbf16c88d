"""Whether anything was found."""

import math
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import numpy as np
import pytest

from app.knowledge.embedding import Embedder
from app.knowledge.ranking import Ranked, fuse
from app.knowledge.relevance import FLOOR, Signals, measure, relevance
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import Hit, Legs

ENCODER = SparseEncoder()
NO_HITS = Legs([], [])


def dense_legs(cosines: Sequence[float]) -> Legs:
    return Legs([Hit(UUID(int=n), cosine) for n, cosine in enumerate(cosines)], [])


def candidate(sparse_score: float | None = None) -> Ranked:
    return Ranked(UUID(int=0), 1.0, None, None, sparse_score, None)


def coverage(query: str, *texts: str, scores: Sequence[float | None] | None = None) -> float:
    candidates = [candidate(score) for score in scores or [None] * len(texts)]
    return measure(query, NO_HITS, candidates, texts, ENCODER).coverage


def bm25_score(query: str, text: str, idf: dict[str, float]) -> float:
    document = dict(zip(*ENCODER.encode_document(text), strict=True))
    terms = [(ENCODER.encode_query(word).indices, idf[word]) for word in query.split()]
    return sum(weight * document.get(term[0], 0.0) for term, weight in terms)


def standout(*cosines: float) -> float:
    found = measure("worker", dense_legs(cosines), [candidate()], ["worker"], ENCODER).standout
    assert found is not None
    return found


def test_more_coverage_and_standout_and_lead_are_more_relevant() -> None:
    some = relevance(Signals(0.5, 0.3, 0.3))
    assert 0 < some < relevance(Signals(0.6, 0.3, 0.3)) < 1
    assert some < relevance(Signals(0.5, 0.4, 0.3)) < 1
    assert some < relevance(Signals(0.5, 0.3, 0.4)) < 1


def test_nothing_in_common_is_below_the_floor_and_everything_above_it() -> None:
    assert relevance(Signals(0.0, 0.1, 0.1)) < FLOOR < relevance(Signals(1.0, 0.5, 0.5))


def test_bm25_alone_wants_a_third_of_the_query() -> None:
    assert relevance(Signals(0.3, None, None)) < FLOOR < relevance(Signals(0.36, None, None))


def test_no_passage_covers_nothing() -> None:
    assert measure("worker slots", NO_HITS, [], [], ENCODER) == Signals(0.0, None, None)


@pytest.mark.parametrize("query", ["", "what is the", "🙂", "?!", "\n"])
def test_a_query_without_terms_is_covered_by_nothing(query: str) -> None:
    assert coverage(query, "what is the worker 🙂") == 0.0


def test_a_passage_with_all_terms_covers_the_query() -> None:
    assert coverage("How many slots has a worker?", "Workers have 100 slots; many is how.") == 1.0


def test_without_bm25_scores_all_terms_weigh_the_same() -> None:
    assert coverage("worker slots price", "A worker has slots.") == pytest.approx(2 / 3)


def test_only_the_best_passage_covers_the_query() -> None:
    assert coverage("worker slots", "A worker.", "Its slots.") == pytest.approx(1 / 2)


def test_a_rare_term_weighs_more_than_a_common_one() -> None:
    query, idf = "worker refund", {"worker": 0.5, "refund": 8.0}
    texts = ["A worker runs tasks.", "The worker sleeps.", "A refund takes a day.", "Workers die."]
    scores = [bm25_score(query, text, idf) for text in texts]
    of_common = coverage(query, *texts, scores=scores)
    best_last = [texts[2], *texts[:2], texts[3]], [scores[2], *scores[:2], scores[3]]
    of_rare = coverage(query, *best_last[0], scores=best_last[1])
    assert of_common == pytest.approx(0.5 / 8.5, abs=0.02)
    assert of_rare == pytest.approx(8.0 / 8.5, abs=0.02)


def test_a_term_that_is_nowhere_counts_as_rare() -> None:
    query, idf = "worker zebra", {"worker": 0.5, "zebra": 8.0}
    texts = ["A worker runs tasks.", "The worker sleeps."]
    scores = [bm25_score(query, text, idf) for text in texts]
    assert coverage(query, *texts, scores=scores) < 0.15


def test_a_passage_that_bm25_did_not_return_tells_no_weights() -> None:
    query, idf = "worker zebra", {"worker": 4.0, "zebra": 8.0}
    texts = ["A worker runs tasks.", "The worker sleeps."]
    both = [bm25_score(query, text, idf) for text in texts]
    known = coverage(query, *texts, scores=both)
    assert coverage(query, *texts, scores=[None, both[1]]) == pytest.approx(known, abs=0.02)


def test_what_is_told_around_a_question_need_not_be_in_the_documents() -> None:
    told = "Hello! My company builds invoices. How many slots has a worker? Thanks a lot!"
    assert coverage(told, "Workers have slots.") == coverage(
        "How many slots has a worker?", "Workers have slots."
    )


@pytest.mark.parametrize("mark", ["?", "\uff1f", "\u061f"])
def test_only_what_is_asked_must_be_in_the_documents(mark: str) -> None:
    assert coverage(f"I run a worker.\nzebra price{mark}\nThanks", "I run a worker.") == 0.0


def test_where_nothing_is_asked_the_best_covered_sentence_counts() -> None:
    query = "I am new. Tell me about worker slots. Thanks friend."
    assert coverage(query, "Tell about worker slots.") == 1.0


def test_a_best_passage_above_all_others_stands_out() -> None:
    assert standout(0.8, *np.linspace(0.4, 0.3, 60)) > 2 * standout(
        0.45, *np.linspace(0.4, 0.3, 60)
    )


def test_standing_out_is_relative_to_the_background_not_to_the_models_scale() -> None:
    low = standout(0.6, *np.linspace(0.21, 0.2, 49))
    high = standout(0.8, *np.linspace(0.61, 0.6, 49))
    assert low == pytest.approx(0.5)
    assert high == pytest.approx(0.5)


def test_one_text_in_many_documents_is_not_its_own_background() -> None:
    versions = [0.7] * 60
    assert standout(*versions, *np.linspace(0.4, 0.3, 49)) == standout(
        0.7, *np.linspace(0.4, 0.3, 49)
    )
    assert standout(*versions) == standout(0.7)


def test_among_few_passages_the_cosine_itself_decides() -> None:
    assert standout(0.1) < 0
    assert standout(0.6) > 0.4
    assert standout(0.6, 0.59, 0.58) == standout(0.6)


def test_cosines_of_one_are_no_error() -> None:
    assert standout(1.0) == 1.0
    assert math.isfinite(standout(*(1 - n * 2e-6 for n in range(100))))


def test_the_lead_is_how_far_the_best_bm25_score_is_above_the_tenth() -> None:
    def lead(*scores: float) -> float | None:
        legs = Legs([], [Hit(UUID(int=n), score) for n, score in enumerate(scores)])
        return measure("worker", legs, [candidate()], ["worker"], ENCODER).lead

    assert lead(8.0, *[7.0] * 8, 6.0, 1.0) == pytest.approx(0.25)
    assert lead(*[5.0] * 10) == 0.0
    assert lead(8.0, *[7.0] * 8) is None
    assert lead() is None


def test_a_query_of_100_000_characters_is_read_in_part() -> None:
    query = "worker slots? " + " ".join(f"word{n}" for n in range(12_000))
    assert coverage(query, "worker slots", scores=[5.0]) == 1.0
    assert coverage("slot " * 400 + "zebra", "slots") == 1.0


NOTES = """\
The default slot count of a worker is 100; raise it for tasks that mostly wait.
Finished workflow runs are deleted after 30 days unless the retention period is changed.
Cron expressions have five fields, or six with seconds, and are read in UTC.
A task that fails is retried as often as its retries property says, with exponential backoff.
Webhooks are checked by basic authentication, an API key or an HMAC signature.
Sticky assignment sends all child tasks of a run to the same worker.
Rate limits can be static, or dynamic with a key that an expression computes from the input.
Audit logs record who did what, with the IP address and the user agent.""".splitlines()


def found_by(embedder: Embedder, query: str) -> Signals:
    """Search the notes as the index does: cosines, and BM25 with Qdrant's IDF."""
    cosines = embedder.embed(NOTES) @ embedder.embed([query])[0]
    documents = [dict(zip(*ENCODER.encode_document(note), strict=True)) for note in NOTES]
    frequency = Counter(term for document in documents for term in document)
    idf = {
        term: math.log((len(NOTES) - frequency[term] + 0.5) / (frequency[term] + 0.5) + 1)
        for term in ENCODER.encode_query(query).indices
    }
    bm25 = [sum(w * doc.get(term, 0.0) for term, w in idf.items()) for doc in documents]
    dense = [Hit(UUID(int=n), float(cosines[n])) for n in np.argsort(-cosines)]
    sparse = [Hit(UUID(int=n), bm25[n]) for n in np.argsort(-np.array(bm25)) if bm25[n]]
    legs = Legs(dense, sparse)
    ranked = fuse(legs)
    texts = [NOTES[one.chunk_id.int] for one in ranked]
    return measure(query, legs, ranked, texts, ENCODER)


@pytest.mark.parametrize(
    "query",
    [
        "How many slots does a worker have by default?",
        "When are finished runs deleted?",
        "Can a cron expression have seconds?",
        "how are webhooks authenticated",
    ],
)
def test_what_the_documents_answer_is_found(embedder: Embedder, query: str) -> None:
    assert relevance(found_by(embedder, query)) >= FLOOR


@pytest.mark.parametrize(
    "query",
    [
        "What is the capital of Australia?",
        "Tell me a joke",
        "How do I bake bread without yeast?",
        "asdf qwertz yxcv",
        "Wie wird das Wetter morgen?",
        "🚀",
    ],
)
def test_what_has_nothing_to_do_with_the_documents_is_not_found(
    embedder: Embedder, query: str
) -> None:
    assert relevance(found_by(embedder, query)) < FLOOR
