"""What every vector index promises, checked with each of them."""

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol
from uuid import UUID

import pytest
from qdrant_client import AsyncQdrantClient

from app.core.exceptions import IndexUnavailable
from app.knowledge.edge_index import EdgeIndex
from app.knowledge.server_index import ServerIndex
from app.knowledge.vector_index import Hit, Position, StoredPoint, VectorIndex
from tests.knowledge.index_support import ENCODER, SPEC, ids_in, point, vector

# Qdrant's local mode says so once per process.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

QDRANT_URL = os.environ.get("QDRANT_URL")


class Place(Protocol):
    """Where an index is kept while nobody has it open."""

    async def open(self) -> VectorIndex:
        """Open it, as after a restart."""
        ...

    async def ids(self) -> set[UUID]:
        """List every point in it."""
        ...

    async def close(self) -> None:
        """Remove what is left."""
        ...


class EdgePlace:
    """A folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._index: EdgeIndex | None = None

    async def open(self) -> VectorIndex:
        """Take the folder's only slot, from whoever had it."""
        await self.close()
        self._index = await EdgeIndex.open(self._root, SPEC, database_url="postgres://unused")
        return self._index

    async def ids(self) -> set[UUID]:
        """Ask the shard."""
        assert self._index is not None
        return ids_in(self._index)

    async def close(self) -> None:
        """Leave the slot."""
        if self._index is not None:
            await self._index.aclose()
            self._index = None


class ServerPlace:
    """A collection."""

    def __init__(self, client: AsyncQdrantClient) -> None:
        self._client = client
        self._collection = f"test_{uuid.uuid4().hex}"

    async def open(self) -> VectorIndex:
        """Look at the collection."""
        return await ServerIndex.open(self._client, self._collection, SPEC)

    async def ids(self) -> set[UUID]:
        """Ask the server."""
        records, _ = await self._client.scroll(self._collection, limit=1_000_000)
        return {UUID(str(record.id)) for record in records}

    async def close(self) -> None:
        """Delete it."""
        await self._client.delete_collection(self._collection)
        await self._client.close()


@pytest.fixture(params=["edge", "local", *(["server"] if QDRANT_URL else [])])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "edge":
        place: Place = EdgePlace(tmp_path)
    elif request.param == "local":
        place = ServerPlace(AsyncQdrantClient(":memory:"))
    else:
        place = ServerPlace(AsyncQdrantClient(QDRANT_URL, timeout=10))
    yield place
    await place.close()


@pytest.fixture
async def index(place: Place) -> VectorIndex:
    """An empty index that may be searched."""
    index = await place.open()
    await index.reset()
    await index.remember(Position(1, 0))
    return index


async def search(index: VectorIndex, text: str, *, limit: int = 10) -> list[Hit]:
    return await index.search(vector(text), ENCODER.encode_query(text), limit=limit)


async def test_finds_what_is_near_in_meaning(index: VectorIndex) -> None:
    near, far = point("one", vector("meaning")), point("two", [-x for x in vector("meaning")])
    await index.upsert([far, near])
    hits = await index.search(vector("meaning"), ENCODER.encode_query("nothing"), limit=2)
    assert [hit.chunk_id for hit in hits] == [near.chunk_id, far.chunk_id]


async def test_finds_what_shares_words(index: VectorIndex) -> None:
    same = vector("same")
    points = [point(text, same) for text in ("about gunicorn", "about redis", "about kafka")]
    await index.upsert(points)
    hits = await index.search(same, ENCODER.encode_query("redis"), limit=1)
    assert [hit.chunk_id for hit in hits] == [points[1].chunk_id]


async def test_what_both_searches_find_comes_first(index: VectorIndex) -> None:
    both = point("gunicorn", vector("question"))
    meaning_only = point("something else", [*vector("question")[:-1], 0.0])
    words_only = point("gunicorn among many other words", [-x for x in vector("question")])
    await index.upsert([meaning_only, words_only, both])
    hits = await index.search(vector("question"), ENCODER.encode_query("gunicorn"), limit=3)
    assert hits[0].chunk_id == both.chunk_id
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


async def test_returns_no_more_than_the_limit(index: VectorIndex) -> None:
    await index.upsert([point(f"number {n}") for n in range(20)])
    assert len(await search(index, "number", limit=3)) == 3


async def test_a_query_of_stop_words_finds_by_meaning_alone(index: VectorIndex) -> None:
    await index.upsert([point("the one")])
    assert len(await search(index, "the")) == 1


async def test_an_empty_index_finds_nothing(index: VectorIndex) -> None:
    assert await search(index, "anything") == []


async def test_a_point_without_words_can_be_stored(index: VectorIndex) -> None:
    await index.upsert([point("the")])
    assert await index.count() == 1


async def test_a_point_that_is_written_again_is_replaced(index: VectorIndex) -> None:
    await index.upsert([point("text", vector("before"))])
    await index.upsert([point("text", vector("after")), point("other", vector("before"))])
    assert await index.count() == 2
    hits = await index.search(vector("after"), ENCODER.encode_query(""), limit=1)
    assert hits[0].chunk_id == point("text").chunk_id


async def test_a_removed_point_is_not_found(place: Place, index: VectorIndex) -> None:
    gone, kept = point("gone"), point("kept")
    await index.upsert([gone, kept])
    await index.delete([gone.chunk_id, uuid.uuid4()])
    assert await place.ids() == {kept.chunk_id}
    assert [hit.chunk_id for hit in await search(index, "gone")] == [kept.chunk_id]


async def test_many_points_are_written_at_once(place: Place, index: VectorIndex) -> None:
    points = [point(f"number {n}") for n in range(300)]
    await index.upsert(points)
    assert await place.ids() == {point.chunk_id for point in points}


async def test_a_scan_returns_every_point_in_the_order_of_ids(index: VectorIndex) -> None:
    points = [point(f"number {n}") for n in range(25)]
    await index.upsert(points)
    found: list[StoredPoint] = []
    while page := await index.scan(found[-1].chunk_id if found else uuid.UUID(int=0), 10):
        assert len(page) <= 10
        found += page
    assert [stored.chunk_id for stored in found] == sorted(point.chunk_id for point in points)


async def test_a_scan_tells_what_a_point_was_made_from(index: VectorIndex) -> None:
    made = point("text")
    await index.upsert([made])
    assert await index.scan(uuid.UUID(int=0), 10) == [
        StoredPoint(
            made.chunk_id, str(made.source_id), str(made.document_id), made.content_hash.hex()
        )
    ]


async def test_a_new_index_has_no_position_and_answers_no_search(place: Place) -> None:
    index = await place.open()
    assert await index.position() is None
    with pytest.raises(IndexUnavailable):
        await search(index, "anything")


async def test_an_index_that_is_being_filled_answers_no_search(index: VectorIndex) -> None:
    await index.reset()
    await index.upsert([point("half of it")])
    assert await index.position() is None
    with pytest.raises(IndexUnavailable):
        await search(index, "half")


async def test_reset_removes_everything(index: VectorIndex) -> None:
    await index.upsert([point("old")])
    await index.reset()
    await index.remember(Position(2, 0))
    assert await index.count() == 0


async def test_points_and_position_outlive_a_restart(place: Place, index: VectorIndex) -> None:
    await index.upsert([point("text")])
    await index.remember(Position(2**40, 2**41))
    again = await place.open()
    assert await again.position() == Position(2**40, 2**41)
    assert [hit.chunk_id for hit in await search(again, "text")] == [point("text").chunk_id]


async def test_a_half_filled_index_begins_anew_after_a_restart(
    place: Place, index: VectorIndex
) -> None:
    await index.reset()
    await index.upsert([point("half of it")])
    again = await place.open()
    assert await again.position() is None
