"""What every vector index can do, wherever it lives.

PostgreSQL is the truth and an index follows it (`follower.py`): a point is a chunk's id, its two
vectors and the payload that filters need (`index_payload.py`). How far an index has followed is
remembered beside its data, so one that was wiped or restored from a backup can't pretend to be up
to date.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from app.knowledge.index_payload import EVERYTHING, IndexFilter, Payload

__all__ = [
    "DENSE",
    "EVERYTHING",
    "FORMAT",
    "SPARSE",
    "Hit",
    "IndexFilter",
    "IndexPoint",
    "IndexSpec",
    "Legs",
    "Position",
    "SparseVector",
    "StoredPoint",
    "VectorIndex",
]

# Raise it whenever points are made differently (payload, sparse encoding, embedded text):
# every index of an older format is then rebuilt from PostgreSQL.
FORMAT: Final = 6

DENSE: Final = "dense"
SPARSE: Final = "bm25"


class SparseVector(NamedTuple):
    """Term weights: `values[i]` belongs to the hashed term `indices[i]`."""

    indices: list[int]
    values: list[float]


@dataclass(frozen=True, slots=True)
class IndexPoint:
    """A chunk as the index holds it."""

    chunk_id: UUID
    payload: Payload
    dense: list[float]
    sparse: SparseVector


class StoredPoint(NamedTuple):
    """What can be told of a point without its vectors."""

    chunk_id: UUID
    payload: Payload


class Hit(NamedTuple):
    """A chunk that was found; a higher score is better."""

    chunk_id: UUID
    score: float


class Legs(NamedTuple):
    """What each of the two searches found, best first, with its own scores.

    `dense`: the cosine of query and chunk, -1 to 1. `sparse`: BM25 from 0 upwards, which can't be
    compared between queries; only chunks that share a term with the query.
    """

    dense: list[Hit]
    sparse: list[Hit]


class Position(NamedTuple):
    """A place in `index_change`: what is at or before it is in the index."""

    xid: int
    id: int


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """What an index is built from. With anything else it is another index."""

    # Transaction ids mean nothing in another database: see `index_database` in the queries.
    database: str
    model: str
    dimensions: int


class VectorIndex(Protocol):
    """Chunks by meaning and by words.

    One task writes (`upsert`, `delete`, `remember`, `reset`), anybody searches meanwhile. What
    can't be reached or is broken raises `IndexUnavailable`, and `position` tells how to go on.
    """

    spec: IndexSpec
    # The name of the lock that one process at a time must hold to write; None: nobody shares it.
    leader_lock: str | None
    # The name under which this process answers for an index of its own; None: everybody can look.
    replica: str | None

    async def search(
        self,
        dense: Sequence[float] | None,
        sparse: SparseVector | None,
        *,
        limit: int,
        where: IndexFilter = EVERYTHING,
    ) -> Legs:
        """Return the best `limit` chunks (1 or more) of each search, of those that `where` allows.

        None, or a sparse vector without terms, asks nothing: that leg is empty.

        Raises:
            IndexUnavailable: it can't be reached, is broken, or isn't complete yet.
        """
        ...

    async def upsert(self, points: Sequence[IndexPoint]) -> None:
        """Write points; those that are there already are replaced."""
        ...

    async def delete(self, chunk_ids: Sequence[UUID]) -> None:
        """Remove points; those that are not there are ignored."""
        ...

    async def count(self) -> int:
        """Count the points exactly."""
        ...

    async def scan(self, after: UUID, limit: int) -> list[StoredPoint]:
        """Return the points that follow an id, in the order of ids: `limit` of them, or all.

        Raises:
            IndexUnavailable: it can't be reached, is broken, or there is none.
        """
        ...

    async def position(self) -> Position | None:
        """Return where to go on following. None: start again with `reset`.

        It may lie before what was last remembered: applying changes again is harmless.
        """
        ...

    async def remember(self, position: Position, *, caught_up: bool = False) -> None:
        """Note that everything up to `position` is applied; now the index may be searched.

        It may be written down later than this, but never before the points. `caught_up`: so is
        everything after it, for the time being.
        """
        ...

    async def reset(self) -> None:
        """Begin again with an empty index, which has no position."""
        ...

    async def aclose(self) -> None:
        """Write down what is remembered and let go of everything."""
        ...

    async def retire(self) -> None:
        """Let go of everything for good: remove what belongs to this process alone."""
        ...

    async def remove_outdated(self) -> None:
        """Remove what processes shared when the knowledge base had another model; for a leader.

        Raises:
            IndexUnavailable: it can't be reached.
        """
        ...
