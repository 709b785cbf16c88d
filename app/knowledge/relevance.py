"""Whether anything was found: how likely the passages answer the query, told from both searches.

The searches always find something, and a cosine or a BM25 score says little by itself: their level
differs between models, texts and queries. Three ratios tell more. **Coverage**: the share of the
query's terms that the best passage has, a term weighing what BM25 gives it. **Standout**: how far
the best cosine rises above the background, the 50th best. **Lead**: how far the best BM25 score is
above the tenth. A logistic function makes one number of them. None depends on the scale of a
model's cosines or on BM25's parameters.

The weights and the floor were fitted on questions about product documentation, about half of them
without an answer there: `benchmarks/relevance.py` fits again and draws the curve in
`docs/images/relevance-floor.svg`.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from app.knowledge.ranking import Ranked
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import Legs

__all__ = ["FLOOR", "NO_LEAD", "PASSAGES_READ", "Signals", "measure", "relevance"]

# Below it nothing was found. Of questions that product documentation answers, 5% fall below.
FLOOR: Final = 0.23

COVERAGE_WEIGHT: Final = 5.0
STANDOUT_WEIGHT: Final = 7.4
LEAD_WEIGHT: Final = 2.0
INTERCEPT: Final = -5.55

# The weights of the query's terms are told from so many of the best passages.
PASSAGES_READ: Final = 8
# Farther down than what answers a query, and well within what the search returns.
BACKGROUND_RANK: Final = 50
# The background of fewer passages than that: usual for MiniLM; for models whose cosines are all
# higher, it makes the floor lenient rather than strict.
FEW_BACKGROUND: Final = 0.2
# Stands in where only BM25 was asked: the floor is then a coverage of a third.
NO_STANDOUT: Final = 0.26
# A question that is answered leads to a few passages; one that isn't, to many about as good.
LEAD_RANK: Final = 10
# Stands in where BM25 was not asked or returned fewer: what is usual.
NO_LEAD: Final = 0.4
# The IDF of a term that none of a few thousand passages has, assumed where nothing else is known,
# and how firmly; no term weighs less than the last.
RARE: Final = 8.0
RIDGE: Final = 0.1
SLIGHT: Final = 0.1
# Of a longer query no embedding model here reads more.
MAX_CHARACTERS: Final = 2_000

_SENTENCE_END = re.compile(r"(?<=[.!?\u061f])\s+|(?<=[\u3002\uff01\uff1f])|\n+")
_QUESTION_MARKS = ("?", "\u061f", "\uff1f")


class Signals(NamedTuple):
    """Coverage and lead, from 0 to 1, and standout, at most 1; None where that can't be told."""

    coverage: float
    standout: float | None
    lead: float | None


def relevance(signals: Signals) -> float:
    """Return how likely the passages answer the query, if one in two queries has an answer.

    It is worth answering from `FLOOR` upwards.
    """
    standout = NO_STANDOUT if signals.standout is None else signals.standout
    lead = NO_LEAD if signals.lead is None else signals.lead
    words = COVERAGE_WEIGHT * signals.coverage + LEAD_WEIGHT * lead
    return 1 / (1 + math.exp(-(words + STANDOUT_WEIGHT * standout + INTERCEPT)))


def measure(
    query: str,
    legs: Legs,
    candidates: Sequence[Ranked],
    texts: Sequence[str],
    encoder: SparseEncoder,
) -> Signals:
    """Compare a query with what was found for it, in half a millisecond.

    The candidates come best first; `texts` are what their vectors were made from, of which the
    first `PASSAGES_READ` are read. With a dense search alone, all terms weigh the same.
    """
    standout = _standout([hit.score for hit in legs.dense]) if legs.dense else None
    lead = _lead([hit.score for hit in legs.sparse])
    query = query[:MAX_CHARACTERS]
    terms = encoder.encode_query(query).indices
    if not texts or not terms:
        return Signals(0.0, standout, lead)
    passages = [encoder.encode_document(text) for text in texts[:PASSAGES_READ]]
    found = [dict(zip(passage.indices, passage.values, strict=True)) for passage in passages]
    scores = [candidate.sparse_score for candidate in candidates[: len(found)]]
    weights = _weigh(terms, found, scores, _rarest(legs))
    shares = [
        sum(weights[term] for term in asked if term in found[0]) / sum(weights[t] for t in asked)
        for sentence in _asking(query)
        if (asked := encoder.encode_query(sentence).indices)
    ]
    return Signals(max(shares, default=0.0), standout, lead)


def _standout(cosines: Sequence[float]) -> float:
    # The same text in many documents is one passage here, or it would be its own background.
    distinct = sorted({round(cosine, 6) for cosine in cosines}, reverse=True)
    known = len(distinct) >= BACKGROUND_RANK
    background = distinct[BACKGROUND_RANK - 1] if known else FEW_BACKGROUND
    return (distinct[0] - background) / (1 - background)


def _lead(scores: Sequence[float]) -> float | None:
    return (scores[0] - scores[LEAD_RANK - 1]) / scores[0] if len(scores) >= LEAD_RANK else None


def _asking(query: str) -> list[str]:
    """Leave out what is told around a question: it is seldom in the documents."""
    sentences = _SENTENCE_END.split(query)
    questions = [sentence for sentence in sentences if sentence.endswith(_QUESTION_MARKS)]
    return questions or sentences


def _rarest(legs: Legs) -> float:
    """Return the IDF of a term that no passage has: in a small knowledge base it is no rarity."""
    count = len(legs.dense)
    return math.log(2 * count + 2) if 0 < count < BACKGROUND_RANK else RARE


def _weigh(
    terms: Sequence[int],
    found: Sequence[Mapping[int, float]],
    scores: Sequence[float | None],
    rarest: float,
) -> dict[int, float]:
    """Tell the terms' IDF, which only the index knows, from the scores that it led to.

    A BM25 score is the sum of IDF times frequency weight over the terms: an equation for each
    passage. Ridge regression solves them, and leaves `rarest` where they tell nothing.
    """
    idf = np.full(len(terms), rarest)
    scored = [(passage, score) for passage, score in zip(found, scores, strict=True) if score]
    if scored:
        frequencies = np.array(
            [[passage.get(term, 0.0) for term in terms] for passage, _ in scored]
        )
        surplus = np.array([score for _, score in scored]) - frequencies @ idf
        gram = frequencies @ frequencies.T + RIDGE * np.eye(len(scored))
        idf = np.maximum(idf + frequencies.T @ np.linalg.solve(gram, surplus), SLIGHT)
    return dict(zip(terms, idf.tolist(), strict=True))
