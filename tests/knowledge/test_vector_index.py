"""What every vector index promises, checked with each of them."""

import hashlib
import math
import os
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient

from app.accounts.models import Visibility
from app.core.exceptions import IndexUnavailable
from app.knowledge.edge_index import EdgeIndex
from app.knowledge.index_payload import readers_of
from app.knowledge.server_index import ServerIndex
from app.knowledge.vector_index import (
    Hit,
    IndexFilter,
    Legs,
    Position,
    StoredPoint,
    VectorIndex,
)
from tests.knowledge.index_support import ENCODER, SPEC, id_of, ids_in, point, vector

# Qdrant's local mode says so once per process.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]

QDRANT_URL = os.environ.get("QDRANT_URL")
MICROSECOND = timedelta(microseconds=1)
NOON = datetime(2026, 11, 20, 12, 0, 0, 1, tzinfo=UTC)


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


async def search(index: VectorIndex, text: str, *, limit: int = 10) -> Legs:
    return await index.search(vector(text), ENCODER.encode_query(text), limit=limit)


def ids(leg: list[Hit]) -> list[UUID]:
    return [hit.chunk_id for hit in leg]


async def test_the_dense_leg_finds_what_is_near_in_meaning(index: VectorIndex) -> None:
    near, far = point("one", vector("meaning")), point("two", [-x for x in vector("meaning")])
    await index.upsert([far, near])
    legs = await search(index, "meaning")
    assert ids(legs.dense) == [near.chunk_id, far.chunk_id]


async def test_the_sparse_leg_finds_what_shares_words(index: VectorIndex) -> None:
    points = [point(text) for text in ("about gunicorn", "redis, redis", "about redis")]
    await index.upsert(points)
    legs = await search(index, "redis")
    assert ids(legs.sparse) == [points[1].chunk_id, points[2].chunk_id]


async def test_a_dense_score_is_the_cosine(index: VectorIndex) -> None:
    points = [point(f"number {n}") for n in range(5)]
    await index.upsert(points)
    legs = await index.search([2 * x for x in vector("question")], None, limit=5)
    expected = {point.chunk_id: np.dot(point.dense, vector("question")) for point in points}
    assert dict(legs.dense) == pytest.approx(expected, abs=1e-6)
    assert ids(legs.dense) == sorted(expected, key=lambda chunk_id: -expected[chunk_id])


async def test_a_sparse_score_is_that_of_bm25_with_the_whole_indexs_term_frequencies(
    index: VectorIndex,
) -> None:
    texts = ["kafka", "kafka and redis", "redis for queues of jobs", "gunicorn", "postgres"]
    await index.upsert([point(text, path=f"{n}.md") for n, text in enumerate(texts)])

    def bm25(text: str) -> float:
        document = dict(zip(*ENCODER.encode_document(text), strict=True))
        score = 0.0
        for term in ("kafka", "redis"):
            [key] = ENCODER.encode_query(term).indices
            having = sum(term in other for other in texts)
            idf = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
            score += idf * document.get(key, 0.0)
        return score

    legs = await search(index, "kafka redis")
    assert dict(legs.sparse) == pytest.approx({id_of(t): bm25(t) for t in texts[:3]}, rel=1e-5)

    below = IndexFilter(path_prefixes=("1.md",))
    filtered = await index.search(None, ENCODER.encode_query("kafka redis"), limit=5, where=below)
    assert dict(filtered.sparse) == pytest.approx({id_of(texts[1]): bm25(texts[1])}, rel=1e-5)


async def test_each_leg_returns_no_more_than_the_limit(index: VectorIndex) -> None:
    await index.upsert([point(f"number {n}") for n in range(20)])
    legs = await search(index, "number", limit=3)
    assert (len(legs.dense), len(legs.sparse)) == (3, 3)


@pytest.mark.parametrize("query", ["the", "", "🤷"])
async def test_a_query_without_terms_finds_by_meaning_alone(index: VectorIndex, query: str) -> None:
    await index.upsert([point("the one")])
    legs = await search(index, query)
    assert (len(legs.dense), legs.sparse) == (1, [])


async def test_a_leg_that_is_not_asked_is_empty(index: VectorIndex) -> None:
    await index.upsert([point("text")])
    words = ENCODER.encode_query("text")
    dense_only = await index.search(vector("text"), None, limit=5)
    sparse_only = await index.search(None, words, limit=5)
    neither = await index.search(None, ENCODER.encode_query("the"), limit=5)
    assert (len(dense_only.dense), dense_only.sparse) == (1, [])
    assert (sparse_only.dense, len(sparse_only.sparse)) == ([], 1)
    assert neither == ([], [])


async def test_an_empty_index_finds_nothing(index: VectorIndex) -> None:
    assert await search(index, "anything") == ([], [])


async def test_a_point_without_words_can_be_stored(index: VectorIndex) -> None:
    await index.upsert([point("the")])
    assert await index.count() == 1


async def test_a_point_that_is_written_again_is_replaced(index: VectorIndex) -> None:
    await index.upsert([point("text", vector("before"))])
    await index.upsert([point("text", vector("after")), point("other", vector("before"))])
    assert await index.count() == 2
    legs = await index.search(vector("after"), None, limit=1)
    assert ids(legs.dense) == [id_of("text")]


async def test_a_removed_point_is_not_found(place: Place, index: VectorIndex) -> None:
    gone, kept = point("gone"), point("kept")
    await index.upsert([gone, kept])
    await index.delete([gone.chunk_id, uuid.uuid4()])
    assert await place.ids() == {kept.chunk_id}
    legs = await search(index, "gone")
    assert (ids(legs.dense), legs.sparse) == ([kept.chunk_id], [])


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
    made = point("text", path="guide/intro/a.md", updated_at=NOON)
    await index.upsert([made])
    [stored] = await index.scan(uuid.UUID(int=0), 10)
    assert stored == StoredPoint(made.chunk_id, made.payload)
    assert stored.payload == {
        "source_id": str(id_of("source")),
        "document_id": str(id_of("source/guide/intro/a.md")),
        "reader": str(id_of("account")),
        "path": ["guide", "guide/intro", "guide/intro/a.md"],
        "updated_at": "2026-11-20T12:00:00.000001+00:00",
        "content_hash": hashlib.sha256(b"text").hexdigest(),
    }


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
    legs = await search(again, "text")
    assert ids(legs.dense) == ids(legs.sparse) == [id_of("text")]


async def test_a_half_filled_index_begins_anew_after_a_restart(
    place: Place, index: VectorIndex
) -> None:
    await index.reset()
    await index.upsert([point("half of it")])
    again = await place.open()
    assert await again.position() is None


# Filters


@pytest.fixture
async def library(index: VectorIndex) -> VectorIndex:
    """Four documents in two sources, each with a chunk about tea that is named after its path."""
    hour = timedelta(hours=1)
    for source, path, updated_at in (
        ("one", "docs/guide/a.md", NOON - hour),
        ("one", "docs/guide-old/b.md", NOON),
        ("one", "c.md", NOON + hour),
        ("two", "docs/guide/deep/d.md", NOON + 2 * hour),
    ):
        text = f"tea {path}"
        await index.upsert([point(text, source=source, path=path, updated_at=updated_at)])
    return index


async def paths(index: VectorIndex, **conditions: Any) -> str:
    """The documents that both legs find, by the letters of their names."""
    query = ENCODER.encode_query("tea")
    legs = await index.search(vector("tea"), query, limit=10, where=IndexFilter(**conditions))
    assert set(ids(legs.dense)) == set(ids(legs.sparse))
    names = ("docs/guide/a.md", "docs/guide-old/b.md", "c.md", "docs/guide/deep/d.md")
    letters = {id_of(f"tea {name}"): name[-4] for name in names}
    return "".join(sorted(letters[chunk_id] for chunk_id in ids(legs.dense)))


async def test_without_a_filter_everything_is_found(library: VectorIndex) -> None:
    assert await paths(library) == "abcd"


async def test_a_filter_takes_any_of_several_sources(library: VectorIndex) -> None:
    assert await paths(library, source_ids=(id_of("one"),)) == "abc"
    assert await paths(library, source_ids=(id_of("one"), id_of("two"))) == "abcd"


async def test_a_filter_takes_any_of_several_documents(library: VectorIndex) -> None:
    a, c = id_of("one/docs/guide/a.md"), id_of("one/c.md")
    assert await paths(library, document_ids=(a,)) == "a"
    assert await paths(library, document_ids=(a, c)) == "ac"


@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        (("docs",), "abd"),
        (("docs/guide",), "ad"),
        (("docs/guide/",), "ad"),
        (("/docs/guide",), "ad"),
        (("docs/guide/deep", "c.md"), "cd"),
        (("docs/guide/a.md",), "a"),
        (("docs/gui",), ""),
        (("",), "abcd"),
        (("/", "c.md"), "abcd"),
    ],
)
async def test_a_path_prefix_is_a_folder_or_a_document(
    library: VectorIndex, prefixes: tuple[str, ...], expected: str
) -> None:
    assert await paths(library, path_prefixes=prefixes) == expected


async def test_a_document_that_is_deeper_than_any_filter_is_found_by_its_path(
    index: VectorIndex,
) -> None:
    deep = "/".join("abcdefgh" * 60)
    await index.upsert([point("tea", path=deep)])
    for prefix, found in ((deep[:63], 1), (deep[:65], 0), (deep, 1)):
        below = IndexFilter(path_prefixes=(prefix,))
        assert len((await index.search(vector("tea"), None, limit=1, where=below)).dense) == found
    [stored] = await index.scan(uuid.UUID(int=0), 1)
    assert len(stored.payload["path"]) == 33


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ({"updated_from": NOON}, "bcd"),
        ({"updated_from": NOON + MICROSECOND}, "cd"),
        ({"updated_before": NOON}, "a"),
        ({"updated_before": NOON + MICROSECOND}, "ab"),
        ({"updated_from": NOON, "updated_before": NOON + timedelta(hours=2)}, "bc"),
        ({"updated_from": NOON.astimezone(timezone(timedelta(hours=-7)))}, "bcd"),
        ({"updated_from": NOON, "updated_before": NOON}, ""),
        ({"updated_from": datetime.min.replace(tzinfo=UTC)}, "abcd"),
        ({"updated_from": datetime.max.replace(tzinfo=UTC)}, ""),
    ],
)
async def test_a_period_includes_its_beginning_and_excludes_its_end(
    library: VectorIndex, period: dict[str, datetime], expected: str
) -> None:
    assert await paths(library, **period) == expected


async def test_a_filter_takes_what_some_readers_may_read(index: VectorIndex) -> None:
    for path, account, visibility in (
        ("docs/guide/a.md", "ann", Visibility.PRIVATE),
        ("docs/guide-old/b.md", "ann", Visibility.SHARED),
        ("c.md", "bob", Visibility.PRIVATE),
        ("docs/guide/deep/d.md", "bob", Visibility.SHARED),
    ):
        made = point(f"tea {path}", path=path, account=account, visibility=visibility)
        await index.upsert([made])

    assert await paths(index, readers=readers_of(id_of("ann"))) == "abd"
    assert await paths(index, readers=readers_of(id_of("bob"))) == "bcd"
    assert await paths(index, readers=readers_of(id_of("eve"))) == "bd"
    assert await paths(index, readers=(str(id_of("ann")),)) == "a"
    ann = readers_of(id_of("ann"))
    assert await paths(index, readers=ann, path_prefixes=("docs/guide", "c.md")) == "ad"
    assert await paths(index, readers=ann, document_ids=(id_of("source/c.md"),)) == ""


async def test_filters_of_several_kinds_must_all_fit(library: VectorIndex) -> None:
    one, a = id_of("one"), id_of("one/docs/guide/a.md")
    assert await paths(library, source_ids=(one,), path_prefixes=("docs",)) == "ab"
    assert await paths(library, path_prefixes=("docs",), updated_from=NOON) == "bd"
    assert await paths(library, source_ids=(one,), document_ids=(a,), updated_from=NOON) == ""


async def test_nothing_fits_what_does_not_exist(library: VectorIndex) -> None:
    assert await paths(library, source_ids=(uuid.uuid4(),)) == ""
    assert await paths(library, document_ids=(uuid.uuid4(),)) == ""
    assert await paths(library, path_prefixes=("nowhere", "a.md")) == ""
    assert await paths(library, source_ids=(uuid.uuid4(), id_of("two"))) == "d"


async def test_a_filtered_search_returns_as_many_as_it_may(index: VectorIndex) -> None:
    """What doesn't fit takes nobody's place, even if it is nearer."""
    texts = [f"tea number {n}" for n in range(120)]
    far = [-x for x in vector("tea")]
    await index.upsert([point(text, vector("tea"), path="near/a.md") for text in texts[:100]])
    await index.upsert([point(text, far, path="far/a.md") for text in texts[100:]])
    below = IndexFilter(path_prefixes=("far",))
    legs = await index.search(vector("tea"), ENCODER.encode_query("tea"), limit=15, where=below)
    fitting = set(map(id_of, texts[100:]))
    for leg in legs:
        assert len(leg) == 15
        assert set(ids(leg)) <= fitting


async def test_a_point_that_is_written_again_fits_other_filters(library: VectorIndex) -> None:
    later = NOON + timedelta(days=1)
    await library.upsert([point("tea c.md", source="two", path="docs/c.md", updated_at=later)])
    assert await paths(library, updated_from=later) == "c"
    assert await paths(library, source_ids=(id_of("two"),)) == "cd"
    assert await paths(library, path_prefixes=("c.md",)) == ""
