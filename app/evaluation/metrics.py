"""What the numbers mean; all of them are 0 to 1, per question, and more is better.

Of documents, by trec_eval's rules through ir-measures: `ndcg@10`, `recall@5`, `recall@10`,
`recall@100`, `mrr@10`. Of the characters of the first five passages, as in Chroma's chunking
evaluation: `span_recall@5` (of the gold characters), `span_precision@5` and `span_iou@5` (passages
that overlap count twice), and `gold@5`: every gold span stands inside one of the passages.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import ir_measures
import numpy as np
from ir_measures import RR, R, ScoredDoc, nDCG

from app.evaluation.asking import TOP, Place
from app.evaluation.collection import Gold

__all__ = [
    "DOCUMENT_METRICS",
    "SPAN_METRICS",
    "Interval",
    "Scores",
    "mean_with_interval",
    "score_documents",
    "score_spans",
]

# A metric's values, by the id of the question.
Scores = dict[str, float]

_MEASURES: Final = {
    "ndcg@10": nDCG @ 10,
    "recall@5": R @ 5,
    "recall@10": R @ 10,
    "recall@100": R @ 100,
    "mrr@10": RR @ 10,
}
DOCUMENT_METRICS: Final = tuple(_MEASURES)
SPAN_METRICS: Final = (
    f"gold@{TOP}",
    f"span_recall@{TOP}",
    f"span_precision@{TOP}",
    f"span_iou@{TOP}",
)

_RESAMPLES: Final = 2000
_SEED: Final = 7


class Interval(NamedTuple):
    """A mean with its 95% bootstrap interval over the questions."""

    mean: float
    low: float
    high: float


def mean_with_interval(values: Iterable[float]) -> Interval:
    """Return the mean of at least one value; the same values give the same interval."""
    sample = np.fromiter(values, dtype=np.float64)
    draws = np.random.default_rng(_SEED).integers(len(sample), size=(_RESAMPLES, len(sample)))
    low, high = np.percentile(sample[draws].mean(axis=1), [2.5, 97.5])
    return Interval(float(sample.mean()), float(low), float(high))


def score_documents(
    relevant: Mapping[str, Mapping[str, int]], ranked: Mapping[str, Sequence[str]]
) -> dict[str, Scores]:
    """Score rankings, best document first; a question without one scores 0."""
    # trec_eval goes by scores, and orders equal ones in its own way.
    run = [
        ScoredDoc(question, document, -float(rank))
        for question, documents in ranked.items()
        for rank, document in enumerate(documents)
    ]
    qrels = [
        ir_measures.Qrel(question, document, score)
        for question, documents in relevant.items()
        for document, score in documents.items()
    ]
    scores: dict[str, Scores] = {name: {} for name in _MEASURES}
    names = {measure: name for name, measure in _MEASURES.items()}
    for result in ir_measures.iter_calc(list(names), qrels, run):
        scores[names[result.measure]][result.query_id] = float(result.value)
    return scores


def score_spans(
    gold: Mapping[str, Gold], found: Mapping[str, Sequence[Place]]
) -> dict[str, Scores]:
    """Score the first passages of each question by their characters."""
    scores: dict[str, Scores] = {name: {} for name in SPAN_METRICS}
    for question, answer in gold.items():
        places = found.get(question, [])[:TOP]
        values = _score_places(answer, places)
        for name, value in zip(SPAN_METRICS, values, strict=True):
            scores[name][question] = value
    return scores


def _score_places(gold: Gold, places: Sequence[Place]) -> tuple[float, float, float, float]:
    retrieved = sum(place.end - place.start for place in places)
    here = [(place.start, place.end) for place in places if place.document == gold.document]
    wanted, covered = _characters(gold.spans), _characters(here)
    hits = len(wanted & covered)
    inside = all(
        any(start <= span[0] and span[1] <= end for start, end in here) for span in gold.spans
    )
    return (
        float(inside),
        hits / len(wanted),
        hits / retrieved if retrieved else 0.0,
        hits / (retrieved + len(wanted) - hits),
    )


def _characters(ranges: Iterable[tuple[int, int]]) -> set[int]:
    return {position for start, end in ranges for position in range(start, end)}
