"""A collection's questions, asked and measured."""

from collections.abc import Container, Mapping
from datetime import UTC, datetime

from app.core.exceptions import InvalidRequest
from app.evaluation.answers import ANSWER_METRICS, score_answers
from app.evaluation.asking import Searched, search_all
from app.evaluation.collection import Collection
from app.evaluation.knowledge_base import Progress, open_knowledge_base
from app.evaluation.metrics import (
    DOCUMENT_METRICS,
    SPAN_METRICS,
    Scores,
    score_documents,
    score_spans,
)
from app.evaluation.runs import Run
from app.knowledge.document_store import RECIPE
from app.knowledge.retrieval import SearchMode
from settings import Settings

__all__ = ["METRICS", "evaluate", "measurable"]

METRICS = (*DOCUMENT_METRICS, *SPAN_METRICS, *ANSWER_METRICS)


def measurable(collection: Collection, *, answers: bool) -> set[str]:
    """Name the metrics that a collection's judgements allow; some questions may have none.

    Raises:
        InvalidRequest: there are none.
    """
    names = set(DOCUMENT_METRICS if collection.relevant else ())
    if collection.gold:
        names.update(SPAN_METRICS)
    if answers and (collection.relevant or collection.gold):
        names.update(ANSWER_METRICS)
        names.discard("refused")
    if answers and not collection.gold:
        names.discard("gold_in_answer")
    if answers and collection.unanswerable:
        names.add("refused")
    if not names:
        raise InvalidRequest(
            f"{collection.folder} has only unanswerable questions: add --answers to ask them."
        )
    return names


async def evaluate(
    settings: Settings,
    collection: Collection,
    progress: Progress,
    *,
    mode: SearchMode,
    answers: bool,
) -> Run:
    """Measure retrieval, and `answers` too if wanted.

    Raises:
        AppError, StartupError: a part failed, or can't be opened.
    """
    judged = collection.relevant.keys() | collection.gold.keys()
    in_texts = collection.gold.keys() if collection.has_whole_texts else set[str]()
    in_corpus = collection.relevant.keys() if collection.has_whole_texts else judged
    scores: dict[str, Scores] = {}
    searched = found_in_texts = Searched()
    corpus = collection.folder
    texts = corpus.with_name(f"{corpus.name}-texts")
    if in_corpus or answers:
        async with open_knowledge_base(
            settings, corpus, collection.documents, progress
        ) as resources:
            questions = _chosen(collection, in_corpus)
            rank = bool(collection.relevant)
            searched = await search_all(resources.retriever, questions, mode, progress, rank=rank)
            if answers:
                scores |= await score_answers(
                    resources.chat,
                    _chosen(collection, judged),
                    collection.unanswerable,
                    _gold_words(collection),
                    mode,
                    progress,
                )
    if in_texts:
        async with open_knowledge_base(settings, texts, collection.texts, progress) as resources:
            questions = _chosen(collection, in_texts)
            found_in_texts = await search_all(
                resources.retriever, questions, mode, progress, rank=False
            )
    places = found_in_texts.places if in_texts else searched.places
    if collection.relevant:
        scores |= score_documents(collection.relevant, searched.documents)
    if collection.gold:
        scores |= score_spans(collection.gold, places)
    return Run(
        collection=collection.name,
        created_at=datetime.now(UTC),
        mode=mode,
        embedding_model=settings.embedding_model,
        recipe=RECIPE,
        corpus=len(collection.documents),
        questions={
            **_chosen(collection, judged),
            **(collection.unanswerable if answers else {}),
        },
        # In the order in which they are told; an answer metric may have met no answer.
        scores={name: scores[name] for name in METRICS if scores.get(name)},
        documents=searched.documents,
        places=places,
        milliseconds=searched.milliseconds or found_in_texts.milliseconds,
    )


def _chosen(collection: Collection, names: Container[str]) -> dict[str, str]:
    return {name: text for name, text in collection.questions.items() if name in names}


def _gold_words(collection: Collection) -> Mapping[str, list[str]]:
    texts = {document.id: document.text for document in collection.texts}
    return {
        name: [texts[gold.document][start:end] for start, end in gold.spans]
        for name, gold in collection.gold.items()
    }
