"""One Qdrant Edge shard in one folder, with a note of how far it has followed PostgreSQL.

A generation is complete when it has its `generation.json`, which is written last, and always
after the points it speaks of are on disk. Points may be ahead of it, never behind: what is
between is applied again. That makes Edge's own write-ahead log superfluous, and upserts without
it are nearly twice as fast.

Nothing here is async: see `edge_index.py` for what may run where.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Self, cast
from uuid import UUID

from qdrant_edge import (
    CountRequest,
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeSparseVectorParams,
    EdgeVectorParams,
    FieldCondition,
    Filter,
    MatchAny,
    Modifier,
    PayloadSchemaType,
    Point,
    Query,
    QueryRequest,
    RangeDateTime,
    ScrollRequest,
    SearchParams,
    UpdateOperation,
)
from qdrant_edge import SparseVector as EdgeSparseVector

from app.knowledge.index_payload import KEYWORD_FIELDS, UPDATED_AT
from app.knowledge.vector_index import (
    DENSE,
    FORMAT,
    SPARSE,
    Hit,
    IndexFilter,
    IndexPoint,
    IndexSpec,
    Legs,
    Position,
    SparseVector,
    StoredPoint,
)

__all__ = ["NOTE", "EdgeFailure", "EdgeGeneration", "OtherIndex"]

NOTE: Final = "generation.json"


class EdgeFailure(Exception):
    """Qdrant Edge could not do it, or what it has stored can't be used."""


class OtherIndex(EdgeFailure):
    """It was built from something else."""


class EdgeGeneration:
    """A shard that one process has open."""

    def __init__(self, folder: Path, spec: IndexSpec, shard: EdgeShard) -> None:
        self.folder = folder
        self.position: Position | None = None
        # Points written since the last optimisation, and changes since the last `save`.
        self.unoptimised = 0
        self.unsaved = 0
        self.saved: Position | None = None
        self._spec = spec
        self._shard = shard

    @classmethod
    def create(cls, folder: Path, spec: IndexSpec) -> Self:
        """Make an empty generation in a folder that doesn't exist yet."""
        config = EdgeConfig(
            vectors={DENSE: EdgeVectorParams(size=spec.dimensions, distance=Distance.Cosine)},
            sparse_vectors={SPARSE: EdgeSparseVectorParams(modifier=Modifier.Idf)},
            wal_enabled=False,
        )
        with _edge_failures():
            folder.mkdir()
            shard = EdgeShard.create(str(folder), config)
            for field in KEYWORD_FIELDS:
                shard.update(UpdateOperation.create_field_index(field, PayloadSchemaType.Keyword))
            shard.update(UpdateOperation.create_field_index(UPDATED_AT, PayloadSchemaType.Datetime))
        return cls(folder, spec, shard)

    @classmethod
    def load(cls, folder: Path, spec: IndexSpec) -> Self:
        """Open a complete generation.

        Raises:
            EdgeFailure: it is incomplete, damaged, or of another database, model or format.
        """
        with _edge_failures():
            note = json.loads((folder / NOTE).read_text())
            if not _is_of(note, spec):
                raise OtherIndex("it was built from something else")
            position, unoptimised = Position(*note["position"]), int(note["unoptimised"])
            generation = cls(folder, spec, EdgeShard.load(str(folder)))
        generation.position = generation.saved = position
        generation.unoptimised = unoptimised
        return generation

    @staticmethod
    def is_complete(folder: Path, spec: IndexSpec) -> bool:
        """Tell whether a folder's note says that it is a complete generation of `spec`."""
        try:
            return _is_of(json.loads((folder / NOTE).read_text()), spec)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def upsert(self, points: Sequence[IndexPoint]) -> None:
        """Write points."""
        with _edge_failures():
            self._shard.update(UpdateOperation.upsert_points([_edge_point(p) for p in points]))
        self.unoptimised += len(points)
        self.unsaved += len(points)

    def delete(self, chunk_ids: Sequence[UUID]) -> None:
        """Remove points."""
        with _edge_failures():
            self._shard.update(UpdateOperation.delete_points(list(chunk_ids)))
        self.unsaved += len(chunk_ids)

    def search(
        self,
        dense: Sequence[float] | None,
        sparse: SparseVector | None,
        *,
        limit: int,
        where: IndexFilter,
    ) -> Legs:
        """Return the best chunks of each search."""
        filter_ = _filter(where)
        meaning = None if dense is None else list(dense)
        words = EdgeSparseVector(*sparse) if sparse and sparse.indices else None
        return Legs(
            self._nearest(meaning, DENSE, filter_, limit),
            self._nearest(words, SPARSE, filter_, limit),
        )

    def count(self) -> int:
        """Count the points exactly."""
        with _edge_failures():
            return self._shard.count(CountRequest(exact=True))

    def scan(self, after: UUID, limit: int) -> list[StoredPoint]:
        """Return the points that follow an id, in the order of ids."""
        # Edge's offset is the first id that it returns.
        request = ScrollRequest(offset=UUID(int=after.int + 1), limit=limit, with_payload=True)
        with _edge_failures():
            records, _ = self._shard.scroll(request)
            return [StoredPoint(cast("UUID", r.id), r.payload or {}) for r in records]

    @property
    def unoptimised_share(self) -> float:
        """Return which part of the points was written since the last optimisation, about."""
        with _edge_failures():
            return self.unoptimised / max(self._shard.info().points_count, 1)

    def optimise(self) -> None:
        """Build the HNSW graph: seconds to minutes, during which no thread of the process runs."""
        with _edge_failures():
            self._shard.optimize()
        self.unoptimised = 0

    def save(self) -> None:
        """Put the points on disk and then the note of the position (0.05 to 0.5 s)."""
        assert self.position is not None
        note = {
            "format": FORMAT,
            "spec": asdict(self._spec),
            "position": self.position,
            "unoptimised": self.unoptimised,
        }
        with _edge_failures():
            self._shard.flush()
            _write_durably(self.folder / NOTE, json.dumps(note))
        self.saved = self.position
        self.unsaved = 0

    def close(self) -> None:
        """Let go of the shard."""
        with _edge_failures():
            self._shard.close()

    def discard(self) -> None:
        """Let go of the shard and remove its folder."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _nearest(
        self,
        vector: list[float] | EdgeSparseVector | None,
        using: str,
        filter_: Filter | None,
        limit: int,
    ) -> list[Hit]:
        if vector is None:
            return []
        # Outside of what follows: a query that can't be asked is no failure of the shard.
        request = QueryRequest(
            limit,
            query=Query.Nearest(vector, using=using),
            filter=filter_,
            # The graph is made for all points: among those that fit a filter it may miss a third.
            params=None if filter_ is None else SearchParams(exact=True),
        )
        with _edge_failures():
            return [Hit(cast("UUID", p.id), p.score) for p in self._shard.query(request)]


def _filter(where: IndexFilter) -> Filter | None:
    conditions = [
        FieldCondition(field, match=MatchAny(values)) for field, values in where.keywords.items()
    ]
    if where.has_period:
        since, before = where.updated_from, where.updated_before
        period = RangeDateTime(
            gte=None if since is None else since.isoformat(),
            lt=None if before is None else before.isoformat(),
        )
        conditions.append(FieldCondition(UPDATED_AT, range=period))
    return Filter(must=list(conditions)) if conditions else None


def _is_of(note: dict[str, Any], spec: IndexSpec) -> bool:
    return note["format"] == FORMAT and IndexSpec(**note["spec"]) == spec


def _edge_point(point: IndexPoint) -> Point:
    return Point(
        point.chunk_id,
        {DENSE: point.dense, SPARSE: EdgeSparseVector(*point.sparse)},
        point.payload,
    )


def _write_durably(path: Path, text: str) -> None:
    draft = path.with_suffix(".tmp")
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def _edge_failures() -> Iterator[None]:
    try:
        yield
    except EdgeFailure:
        raise
    # Edge raises bare Exception, and a panic in Rust is no Exception at all.
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise EdgeFailure(str(error)) from error
