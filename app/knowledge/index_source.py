"""What an index is made from, read from PostgreSQL: changed chunks in order, or all of them.

Every function here runs inside a transaction (`Database.run`).
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np

from app.core.database import Queries
from app.knowledge.index_payload import Payload, payload_of
from app.knowledge.models import embedded_text
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import IndexPoint, IndexSpec, Position

__all__ = [
    "BATCH_SIZE",
    "MAX_LAG",
    "Changes",
    "ChangesLost",
    "Horizon",
    "Lag",
    "Page",
    "after_position",
    "can_follow_from",
    "read_changes",
    "read_count",
    "read_horizon",
    "read_lag",
    "read_latest",
    "read_page",
    "read_payload",
    "read_spec",
    "uuid_array",
    "vector_bytes",
]

logger = logging.getLogger(__name__)

# 3 MB of vectors with 384 dimensions.
BATCH_SIZE = 256
# Counting more would cost as much as it tells.
MAX_LAG = 10_000


class ChangesLost(Exception):
    """Changes after this position have been removed: see `compaction.py`."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Chunks that changed, as they are now, and the position after the last of them."""

    upserts: list[IndexPoint]
    deletes: list[UUID]
    end: Position
    # Whether no change can ever come to stand before `end`.
    settled: bool


class Page(NamedTuple):
    """Chunks in the order of ids, and the last id that was read: None at the end."""

    points: list[IndexPoint]
    last: UUID | None


class Horizon(NamedTuple):
    """`settled`: everything before it has ended. `next_xid`: no transaction has got that far."""

    settled: Position
    next_xid: int


class Lag(NamedTuple):
    """How many changes wait, `MAX_LAG` at most, and for how many seconds the first of them has."""

    changes: int
    seconds: float


def read_spec(queries: Queries, model: str, dimensions: int) -> IndexSpec:
    """Describe the index of this database with this embedding model."""
    return IndexSpec(queries.index_database(), model, dimensions)


def read_horizon(queries: Queries) -> Horizon:
    """Return how far the transactions of this database have come."""
    row = queries.index_horizon()
    return Horizon(Position(int(row["settled_xid"]), 0), int(row["next_xid"]))


def read_latest(queries: Queries) -> Position | None:
    """Return the last change that is committed; None if there is none."""
    row = queries.latest_index_change()
    return row and _position(row)


def read_changes(
    queries: Queries,
    spec: IndexSpec,
    encoder: SparseEncoder,
    *,
    settled_after: Position,
    unsettled_after: Position,
) -> Changes | None:
    """Read the next batch of changes: settled ones first, in their final order.

    Only settled changes move an index's position. The others are applied ahead of time, since one
    long transaction anywhere in the cluster would otherwise hold up everybody's; they come once
    more when they are settled, which is harmless, since a change only says where to look.

    Raises:
        ChangesLost: the index has been away for too long; it must be built anew.
    """
    rows = list(queries.settled_index_changes(limit=BATCH_SIZE, **after_position(settled_after)))
    settled = bool(rows)
    if not settled:
        rows = list(
            queries.unsettled_index_changes(limit=BATCH_SIZE, **after_position(unsettled_after))
        )
    # After the changes: those that are not removed even now were all there to be read.
    if queries.has_lost_index_changes(database=spec.database, xid=str(settled_after.xid)):
        raise ChangesLost
    if not rows:
        return None
    ids = {row["chunk_id"] for row in rows}
    found = queries.chunks_to_index(ids=uuid_array(ids), model=spec.model)
    upserts = _points(found, spec, encoder)
    deletes = ids - {point.chunk_id for point in upserts}
    return Changes(upserts, list(deletes), _position(rows[-1]), settled)


def read_page(queries: Queries, spec: IndexSpec, encoder: SparseEncoder, *, after: UUID) -> Page:
    """Read the chunks that follow `after` in the order of ids."""
    rows = list(queries.page_of_chunks_to_index(after=after, model=spec.model, limit=BATCH_SIZE))
    return Page(_points(rows, spec, encoder), rows[-1]["id"] if rows else None)


def can_follow_from(queries: Queries, spec: IndexSpec, position: Position) -> bool:
    """Tell whether every change after `position` is there; if not, the index must be rebuilt."""
    lost: bool = queries.has_lost_index_changes(database=spec.database, xid=str(position.xid))
    # A database that was set back has not come as far as the index.
    return not lost and position.xid <= read_horizon(queries).next_xid


def read_lag(queries: Queries, position: Position) -> Lag:
    """Tell how far an index at `position` is behind."""
    row = queries.index_lag(limit=MAX_LAG, **after_position(position))
    return Lag(row["changes"], row["seconds"])


def read_count(queries: Queries, spec: IndexSpec, position: Position) -> int | None:
    """Count the points that an index at `position` must have; None while changes wait."""
    row = queries.count_chunks_to_index(
        model=spec.model, vector_bytes=vector_bytes(spec), **after_position(position)
    )
    return None if row["changes_wait"] else row["chunks"]


def vector_bytes(spec: IndexSpec) -> int:
    """Return the size of a stored vector: float32."""
    return 4 * spec.dimensions


def uuid_array(ids: Iterable[UUID]) -> str:
    """Return ids as a literal of a PostgreSQL array."""
    return f"{{{','.join(map(str, ids))}}}"


def after_position(position: Position) -> dict[str, Any]:
    """Return the parameters with which statements begin after a position."""
    # There is no cast from a number to xid8.
    return {"xid": str(position.xid), "id": position.id}


def read_payload(row: Mapping[str, Any]) -> Payload:
    """Return a point's payload from a row that has what it is made of."""
    return payload_of(
        source_id=row["source_id"],
        document_id=row["document_id"],
        account_id=row["account_id"],
        visibility=row["visibility"],
        path=row["path"],
        updated_at=row["updated_at"],
        content_hash=bytes(row["content_hash"]),
    )


def _position(row: Mapping[str, Any]) -> Position:
    return Position(int(row["xid"]), row["id"])


def _points(
    rows: Iterable[Mapping[str, Any]], spec: IndexSpec, encoder: SparseEncoder
) -> list[IndexPoint]:
    """Make points of those chunks that have a vector."""
    points = []
    for row in rows:
        if row["vector"] is None:
            continue
        if len(row["vector"]) != vector_bytes(spec):
            # Leave it out: one broken vector must not keep all others from being followed.
            logger.error("the vector of chunk %s has %d bytes", row["id"], len(row["vector"]))
            continue
        dense = np.frombuffer(row["vector"], dtype="<f4").tolist()
        sparse = encoder.encode_document(embedded_text(row["heading_path"], row["text"]))
        points.append(
            IndexPoint(
                chunk_id=row["id"],
                payload=read_payload(row),
                dense=dense,
                sparse=sparse,
            )
        )
    return points
