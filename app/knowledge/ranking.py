"""From what the two searches found to the passages to read: pure functions."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from app.knowledge.vector_index import Hit, Legs

__all__ = ["Ranked", "diversify", "fuse"]

# How much of a score is BM25's. From 0.3 to 0.4 nDCG@10 changes by 0.001 to 0.003, and the answers
# inside the first passages rise up to here: see docs/retrieval.md.
BM25_WEIGHT: Final = 0.4

# From this cosine on two passages begin to say the same: those of one subject reach 0.8 and are
# worth having both. A passage that only repeats another loses `REDUNDANCY` of its score.
REDUNDANT_FROM: Final = 0.9
REDUNDANCY: Final = 0.3
# What a passage loses for each one of its document that stands before it: enough to let another
# document's go first where they are about as good, too little to hide a long document's own.
CROWDING: Final = 0.01


class Ranked(NamedTuple):
    """A chunk's fused score, 0 to 1, with what each search said of it.

    Ranks count from 1; None where a search did not return it. Scores of two queries don't compare.
    """

    chunk_id: UUID
    score: float
    dense_score: float | None
    dense_rank: int | None
    sparse_score: float | None
    sparse_rank: int | None


def fuse(legs: Legs) -> list[Ranked]:
    """Rank what two searches found, best first, by a weighted sum of their scores.

    A cosine counts by how far it rises above the last one found, as a share of what it could, which
    is the same for models whose cosines are all high; a BM25 score as a share of the best. What a
    search did not return can be at most as good as the last that it did, and counts as such.
    """
    lowest_cosine = min(_scores(legs.dense), default=0.0)
    possible_rise = max(1 - lowest_cosine, 1e-6)
    best_bm25 = max(_scores(legs.sparse), default=0.0) or 1.0
    # A search for words that returned fewer has returned all that have any of them.
    complete = len(legs.sparse) < len(legs.dense)
    lowest_share = 0.0 if complete else min(_scores(legs.sparse), default=0.0) / best_bm25
    # Taken out where both found it: hashing an id takes longer than anything else here.
    only_dense = {hit.chunk_id: (rank, hit.score) for rank, hit in enumerate(legs.dense, start=1)}
    ranked = []
    for rank, (chunk_id, bm25) in enumerate(legs.sparse, start=1):
        dense_rank, cosine = only_dense.pop(chunk_id, (None, None))
        rise = 0.0 if cosine is None else (cosine - lowest_cosine) / possible_rise
        score = (1 - BM25_WEIGHT) * rise + BM25_WEIGHT * bm25 / best_bm25
        ranked.append(Ranked(chunk_id, score, cosine, dense_rank, bm25, rank))
    for chunk_id, (dense_rank, cosine) in only_dense.items():
        rise = (cosine - lowest_cosine) / possible_rise
        score = (1 - BM25_WEIGHT) * rise + BM25_WEIGHT * lowest_share
        ranked.append(Ranked(chunk_id, score, cosine, dense_rank, None, None))
    # Of equal scores those stay first that have the words.
    return sorted(ranked, key=attrgetter("score"), reverse=True)


def diversify(
    candidates: Sequence[Ranked],
    vectors: NDArray[np.float32],
    documents: Sequence[UUID],
    *,
    limit: int,
) -> list[int]:
    """Choose at most `limit` candidates: indices, in the order in which to read them.

    Maximal marginal relevance: the next is always the best of those left, after what it loses for
    repeating a chosen one, or for its document's chosen ones. `vectors` are of (candidates,
    dimensions), L2-normalised, `documents` the candidates' own; what order candidates come in only
    decides between equals.
    """
    count = min(limit, len(candidates))
    steepness = REDUNDANCY / (1 - REDUNDANT_FROM)
    scores = np.array([candidate.score for candidate in candidates])
    numbers = {document: number for number, document in enumerate(dict.fromkeys(documents))}
    document_of = np.array([numbers[document] for document in documents])
    redundancy = np.zeros(len(candidates))
    chosen: list[int] = []
    while len(chosen) < count:
        best = int((scores - redundancy).argmax())
        chosen.append(best)
        scores[best] = -np.inf
        scores[document_of == document_of[best]] -= CROWDING
        # Not by BLAS, whose threads wait for busy processors: for tens of milliseconds at times.
        alike = np.einsum("cd,d->c", vectors, vectors[best])
        np.maximum(redundancy, (alike - REDUNDANT_FROM) * steepness, out=redundancy)
    return chosen


def _scores(hits: Sequence[Hit]) -> list[float]:
    return [hit.score for hit in hits]
