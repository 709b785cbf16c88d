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
from app.knowledge.models import embedded_text
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import IndexPoint, IndexSpec, Position

__all__ = [
    "BATCH_SIZE",
    "Changes",
    "Horizon",
    "Page",
    "read_changes",
    "read_count",
    "read_horizon",
    "read_latest",
    "read_page",
    "read_spec",
]

logger = logging.getLogger(__name__)

# 3 MB of points with 384 dimensions.
BATCH_SIZE = 256


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
    """
    rows = list(queries.settled_index_changes(limit=BATCH_SIZE, **_after(settled_after)))
    settled = bool(rows)
    if not settled:
        rows = list(queries.unsettled_index_changes(limit=BATCH_SIZE, **_after(unsettled_after)))
    if not rows:
        return None
    ids = {row["chunk_id"] for row in rows}
    upserts = _points(queries.chunks_to_index(ids=list(ids), model=spec.model), spec, encoder)
    deletes = ids - {point.chunk_id for point in upserts}
    return Changes(upserts, list(deletes), _position(rows[-1]), settled)


def read_page(queries: Queries, spec: IndexSpec, encoder: SparseEncoder, *, after: UUID) -> Page:
    """Read the chunks that follow `after` in the order of ids."""
    rows = list(queries.page_of_chunks_to_index(after=after, model=spec.model, limit=BATCH_SIZE))
    return Page(_points(rows, spec, encoder), rows[-1]["id"] if rows else None)


def read_count(queries: Queries, spec: IndexSpec, position: Position) -> int | None:
    """Count the points that an index at `position` must have; None while changes wait."""
    row = queries.count_chunks_to_index(model=spec.model, **_after(position))
    return None if row["changes_wait"] else row["chunks"]


def _after(position: Position) -> dict[str, Any]:
    # There is no cast from a number to xid8.
    return {"xid": str(position.xid), "id": position.id}


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
        if len(row["vector"]) != 4 * spec.dimensions:
            # Leave it out: one broken vector must not keep all others from being followed.
            logger.error("the vector of chunk %s has %d bytes", row["id"], len(row["vector"]))
            continue
        dense = np.frombuffer(row["vector"], dtype="<f4").tolist()
        sparse = encoder.encode_document(embedded_text(row["heading_path"], row["text"]))
        points.append(IndexPoint(row["id"], row["source_id"], row["document_id"], dense, sparse))
    return points
