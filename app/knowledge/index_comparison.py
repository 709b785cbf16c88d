"""Compares an index with PostgreSQL, point by point, while both may go on changing.

A chunk that no change after the index's position speaks of has been the same on both sides for as
long as the comparison took. So where the two differ, and no such change waits, they really do.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from app.core.database import Database, Queries
from app.knowledge.index_source import (
    after_position,
    read_lag,
    read_payload,
    uuid_array,
    vector_bytes,
)
from app.knowledge.vector_index import IndexSpec, Position, StoredPoint

__all__ = ["PAGE", "Comparison", "Scan", "compare", "slices"]

# Edge holds the GIL for 2 ms while it reads so many.
PAGE: Final = 500
FIRST: Final = UUID(int=0)
LAST: Final = UUID(int=2**128 - 1)

Scan = Callable[[UUID, int], Awaitable[list[StoredPoint]]]


@dataclass(slots=True)
class Comparison:
    """What an index holds, and in which chunks it differs from PostgreSQL."""

    points: int = 0
    # in PostgreSQL only
    missing: list[UUID] = field(default_factory=list)
    # in the index only
    surplus: list[UUID] = field(default_factory=list)
    # in both, made from another text or with another payload
    different: list[UUID] = field(default_factory=list)
    # Changes that the index has yet to apply: `MAX_LAG` at most.
    waiting: int = 0

    @property
    def ids(self) -> list[UUID]:
        """Return all chunks that differ."""
        return [*self.missing, *self.surplus, *self.different]


async def compare(
    database: Database, scan: Scan, spec: IndexSpec, position: Position
) -> Comparison:
    """Compare an index that has applied everything up to `position`.

    Raises:
        DatabaseUnavailable, IndexUnavailable: one side can't be read.
    """
    found = Comparison()
    after = FIRST
    while after != LAST:
        points = await scan(after, PAGE)
        last = points[-1].chunk_id if len(points) == PAGE else LAST
        await _compare_range(database, spec, points, (after, last), found)
        found.points += len(points)
        after = last
    for ids in (found.missing, found.surplus, found.different):
        for part in list(slices(ids)):
            changing = await database.run(_find_changing, part, position)
            ids[:] = [chunk_id for chunk_id in ids if chunk_id not in changing]
    found.waiting = (await database.run(read_lag, position)).changes
    return found


def slices(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    """Cut ids into what a statement takes."""
    size = 10_000
    return (ids[start : start + size] for start in range(0, len(ids), size))


async def _compare_range(
    database: Database,
    spec: IndexSpec,
    points: Sequence[StoredPoint],
    bounds: tuple[UUID, UUID],
    found: Comparison,
) -> None:
    held = {point.chunk_id: point for point in points}
    after, last = bounds
    while after != last:
        expected, after = await database.run(_read_points, spec, after, last)
        for point in expected:
            actual = held.pop(point.chunk_id, None)
            if actual is None:
                found.missing.append(point.chunk_id)
            elif actual != point:
                found.different.append(point.chunk_id)
    found.surplus.extend(held)


def _read_points(
    queries: Queries, spec: IndexSpec, after: UUID, last: UUID
) -> tuple[list[StoredPoint], UUID]:
    """Return the next points that an index should hold, and up to where these are all."""
    rows = list(
        queries.points_to_expect(
            model=spec.model, vector_bytes=vector_bytes(spec), after=after, last=last, limit=PAGE
        )
    )
    points = [StoredPoint(row["id"], read_payload(row)) for row in rows if row["has_vector"]]
    return points, rows[-1]["id"] if len(rows) == PAGE else last


def _find_changing(queries: Queries, ids: Sequence[UUID], position: Position) -> set[UUID]:
    rows = queries.find_changing_chunks(ids=uuid_array(ids), **after_position(position))
    return {row["chunk_id"] for row in rows}
