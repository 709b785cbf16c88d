"""The shared index: one collection on a Qdrant server, which one process at a time writes to.

What the collection was built from, and its position, stand in the collection's own metadata.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self
from uuid import UUID

from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from app.core.exceptions import IndexUnavailable, StartupError
from app.knowledge.index_payload import KEYWORD_FIELDS, UPDATED_AT
from app.knowledge.vector_index import (
    DENSE,
    EVERYTHING,
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

__all__ = ["ServerIndex"]

logger = logging.getLogger(__name__)

TIMEOUT_SEC: Final = 10
# So long a server that says nothing holds up the start.
OPEN_TIMEOUT_SEC: Final = 5.0
UNAUTHORIZED: Final = (401, 403)
# Encoding 40 points keeps the event loop busy for 5 ms.
SLICE: Final = 40
APPLICATION: Final = "brag"


class ServerIndex:
    """A collection that all processes share; the client is closed with it."""

    def __init__(self, client: AsyncQdrantClient, collection: str, spec: IndexSpec) -> None:
        self.spec = spec
        self.leader_lock: str | None = f"brag.index.{collection}"
        self.replica: str | None = None
        self._client = client
        self._collection = collection
        # As last seen; the follower of every process looks every other second.
        self._position: Position | None = None

    @classmethod
    async def open(cls, client: AsyncQdrantClient, collection: str, spec: IndexSpec) -> Self:
        """Check that the collection is ours, or not there yet.

        If the server doesn't answer, `position` checks when it does: until then everything but
        searching works.

        Raises:
            StartupError: the collection was built from something else, or the key is refused.
        """
        index = cls(client, collection, spec)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_SEC):
                index._check(await index._metadata())
        except (IndexUnavailable, TimeoutError) as error:
            if getattr(error.__cause__, "status_code", None) in UNAUTHORIZED:
                raise StartupError("Qdrant refuses the key. Check QDRANT_API_KEY.") from error
            logger.warning("Qdrant does not answer yet: searches fail until it does")
        return index

    async def search(
        self,
        dense: Sequence[float] | None,
        sparse: SparseVector | None,
        *,
        limit: int,
        where: IndexFilter = EVERYTHING,
    ) -> Legs:
        """Search on the server, both legs in one request."""
        if self._position is None:
            raise IndexUnavailable
        vectors: dict[str, list[float] | models.SparseVector] = {}
        if dense is not None:
            vectors[DENSE] = list(dense)
        if sparse is not None and sparse.indices:
            vectors[SPARSE] = _sparse(sparse)
        if not vectors:
            return Legs([], [])
        filter_ = _filter(where)
        # The graph is made for all points: among those that fit a filter it may miss a third.
        params = None if filter_ is None else models.SearchParams(exact=True)
        queries = [
            models.QueryRequest(
                query=vector, using=using, filter=filter_, params=params, limit=limit
            )
            for using, vector in vectors.items()
        ]
        async with _unavailable():
            answers = await self._client.query_batch_points(self._collection, queries)
        legs = dict(zip(vectors, map(_hits, answers), strict=True))
        return Legs(legs.get(DENSE, []), legs.get(SPARSE, []))

    async def upsert(self, points: Sequence[IndexPoint]) -> None:
        """Write points and wait until they are found."""
        for start in range(0, len(points), SLICE):
            part = [_point(point) for point in points[start : start + SLICE]]
            async with _unavailable():
                await self._client.upsert(self._collection, part, wait=True)

    async def delete(self, chunk_ids: Sequence[UUID]) -> None:
        """Remove points."""
        async with _unavailable():
            await self._client.delete(
                self._collection,
                models.PointIdsList(points=[str(chunk_id) for chunk_id in chunk_ids]),
                wait=True,
            )

    async def count(self) -> int:
        """Count the points exactly."""
        async with _unavailable():
            result = await self._client.count(self._collection, exact=True)
        return result.count

    async def scan(self, after: UUID, limit: int) -> list[StoredPoint]:
        """Return the points that follow an id, in the order of ids."""
        async with _unavailable():
            records, _ = await self._client.scroll(
                self._collection,
                # The first id that it returns.
                offset=str(UUID(int=after.int + 1)),
                limit=limit,
                with_payload=True,
            )
        return [StoredPoint(UUID(str(r.id)), r.payload or {}) for r in records]

    async def position(self) -> Position | None:
        """Return where the leader is; None: there is no collection, or it is being built."""
        metadata = await self._metadata()
        try:
            self._check(metadata)
        except StartupError as error:
            # Somebody has put another collection in its place while bRAG runs.
            self._position = None
            raise IndexUnavailable(str(error)) from error
        place = metadata.get("position") if metadata is not None else None
        current = metadata is not None and metadata["format"] == FORMAT
        self._position = Position(*place) if current and place is not None else None
        return self._position

    async def remember(
        self,
        position: Position,
        *,
        caught_up: bool = False,  # noqa: ARG002 - a server needs no such hint
    ) -> None:
        """Note the position in the collection's metadata."""
        if position == self._position:
            return
        async with _unavailable():
            await self._client.update_collection(
                self._collection, metadata={"position": list(position)}
            )
        self._position = position

    async def reset(self) -> None:
        """Create the collection anew."""
        self._check(await self._metadata())
        self._position = None
        async with _unavailable():
            await self._client.delete_collection(self._collection)
            await self._client.create_collection(
                self._collection,
                vectors_config={
                    DENSE: models.VectorParams(
                        size=self.spec.dimensions, distance=models.Distance.COSINE
                    )
                },
                sparse_vectors_config={
                    SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)
                },
                metadata={
                    "application": APPLICATION,
                    "format": FORMAT,
                    "database": self.spec.database,
                    "model": self.spec.model,
                    "dimensions": self.spec.dimensions,
                },
            )
            fields = dict.fromkeys(KEYWORD_FIELDS, models.PayloadSchemaType.KEYWORD)
            fields[UPDATED_AT] = models.PayloadSchemaType.DATETIME
            for field, kind in fields.items():
                await self._client.create_payload_index(self._collection, field, kind, wait=True)

    async def aclose(self) -> None:
        """Close the client: everything else is on the server."""
        await self._client.close()

    async def retire(self) -> None:
        """Close the client: other processes may still search."""
        await self.aclose()

    async def remove_outdated(self) -> None:
        """Remove this database's collections of other models, whatever their names."""
        async with _unavailable():
            found = await self._client.get_collections()
        for name in (collection.name for collection in found.collections):
            if await self._is_outdated(name):
                logger.info("the collection %s is removed, its model was replaced", name)
                async with _unavailable():
                    await self._client.delete_collection(name)

    async def _is_outdated(self, name: str) -> bool:
        async with _unavailable():
            metadata = (await self._client.get_collection(name)).config.metadata or {}
        return (
            metadata.get("application") == APPLICATION
            and metadata["database"] == self.spec.database
            and metadata["model"] != self.spec.model
        )

    async def _metadata(self) -> Mapping[str, Any] | None:
        """Return what stands with the collection; None if there is no collection."""
        async with _unavailable():
            if not await self._client.collection_exists(self._collection):
                return None
            info = await self._client.get_collection(self._collection)
        return info.config.metadata or {}

    def _check(self, metadata: Mapping[str, Any] | None) -> None:
        if metadata is None:
            return
        name = self._collection
        if metadata.get("application") != APPLICATION:
            raise StartupError(
                f"The Qdrant collection {name} was not made by bRAG. Set QDRANT_COLLECTION_NAME "
                "to a name that is free."
            )
        if (metadata["model"], metadata["dimensions"]) != (self.spec.model, self.spec.dimensions):
            raise StartupError(
                f"The Qdrant collection {name} was built with {metadata['model']} "
                f"({metadata['dimensions']} dimensions), but EMBEDDING_MODEL is {self.spec.model} "
                f"({self.spec.dimensions} dimensions). Set EMBEDDING_MODEL={metadata['model']}, or "
                "QDRANT_COLLECTION_NAME to a name that is free."
            )
        if metadata["database"] != self.spec.database:
            raise StartupError(
                f"The Qdrant collection {name} belongs to another database. Set "
                "QDRANT_COLLECTION_NAME to a name that is free, or delete the collection if that "
                "database is gone."
            )


def _point(point: IndexPoint) -> models.PointStruct:
    return models.PointStruct(
        id=str(point.chunk_id),
        vector={DENSE: point.dense, SPARSE: _sparse(point.sparse)},
        payload=point.payload,
    )


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=vector.indices, values=vector.values)


def _filter(where: IndexFilter) -> models.Filter | None:
    conditions = [
        models.FieldCondition(key=field, match=models.MatchAny(any=values))
        for field, values in where.keywords.items()
    ]
    if where.has_period:
        period = models.DatetimeRange(gte=where.updated_from, lt=where.updated_before)
        conditions.append(models.FieldCondition(key=UPDATED_AT, range=period))
    return models.Filter(must=list(conditions)) if conditions else None


def _hits(answer: models.QueryResponse) -> list[Hit]:
    return [Hit(UUID(str(point.id)), point.score) for point in answer.points]


@asynccontextmanager
async def _unavailable() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(TIMEOUT_SEC):
            yield
    except UnexpectedResponse as error:
        raise IndexUnavailable(
            f"The vector index is unavailable: Qdrant answers with status {error.status_code}. "
            "Please try again in a moment."
        ) from error
    except (ApiException, TimeoutError) as error:
        raise IndexUnavailable(
            "The vector index is unavailable: Qdrant does not answer. Please try again in a moment."
        ) from error
