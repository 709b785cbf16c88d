"""Placeholder until the measured one lands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.knowledge.vector_index import Legs

__all__ = ["Ranked", "diversify", "fuse"]


@dataclass(frozen=True, slots=True)
class Ranked:
    chunk_id: UUID
    score: float
    dense_score: float | None
    dense_rank: int | None
    sparse_score: float | None
    sparse_rank: int | None


def fuse(legs: Legs) -> list[Ranked]:
    dense = {hit.chunk_id: (rank, hit.score) for rank, hit in enumerate(legs.dense, 1)}
    sparse = {hit.chunk_id: (rank, hit.score) for rank, hit in enumerate(legs.sparse, 1)}
    ranked = []
    for chunk_id in dense | sparse:
        d, s = dense.get(chunk_id), sparse.get(chunk_id)
        score = (1 / (2 + d[0]) if d else 0) + (1 / (2 + s[0]) if s else 0)
        ranked.append(
            Ranked(
                chunk_id,
                score,
                d and d[1],
                d and d[0],
                s and s[1],
                s and s[0],
            )
        )
    return sorted(ranked, key=lambda r: -r.score)


def diversify(
    candidates: Sequence[Ranked], vectors: Any, documents: Sequence[UUID], *, limit: int
) -> list[int]:
    return list(range(min(limit, len(candidates))))
