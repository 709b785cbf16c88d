"""The shared index's collection: whose it is, and a server that doesn't answer."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from qdrant_client import AsyncQdrantClient, models

from app.core.exceptions import IndexUnavailable, StartupError
from app.knowledge import server_index
from app.knowledge.server_index import ServerIndex
from app.knowledge.vector_index import IndexSpec, Position
from tests.knowledge.index_support import ENCODER, SPEC, point, vector

# Qdrant's local mode says so once per process.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")


@pytest.fixture
async def client() -> AsyncIterator[AsyncQdrantClient]:
    client = AsyncQdrantClient(":memory:")
    yield client
    await client.close()


@pytest.fixture
async def index(client: AsyncQdrantClient) -> ServerIndex:
    """An index with one point."""
    index = await ServerIndex.open(client, "mine", SPEC)
    await index.reset()
    await index.upsert([point("text")])
    await index.remember(Position(7, 7))
    return index


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that accepts connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_opening_creates_nothing(client: AsyncQdrantClient) -> None:
    await ServerIndex.open(client, "mine", SPEC)
    assert not await client.collection_exists("mine")


async def test_a_collection_of_another_model_is_refused_in_one_sentence(
    client: AsyncQdrantClient, index: ServerIndex
) -> None:
    with pytest.raises(StartupError) as refusal:
        await ServerIndex.open(client, "mine", IndexSpec(SPEC.database, "new-model", 16))
    for word in ("mine", "test-model", "new-model", "QDRANT_COLLECTION_NAME"):
        assert word in str(refusal.value)


async def test_a_collection_of_another_database_is_refused(
    client: AsyncQdrantClient, index: ServerIndex
) -> None:
    other = IndexSpec("another-database/1", SPEC.model, SPEC.dimensions)
    with pytest.raises(StartupError, match="another database"):
        await ServerIndex.open(client, "mine", other)


async def test_a_collection_that_is_not_ours_is_refused_and_left_alone(
    client: AsyncQdrantClient,
) -> None:
    vectors = models.VectorParams(size=3, distance=models.Distance.DOT)
    index = await ServerIndex.open(client, "theirs", SPEC)
    await client.create_collection("theirs", vectors)
    with pytest.raises(StartupError, match="not made by bRAG"):
        await ServerIndex.open(client, "theirs", SPEC)
    # It may also appear while bRAG runs.
    with pytest.raises(IndexUnavailable):
        await index.position()
    with pytest.raises(StartupError):
        await index.reset()
    assert await client.collection_exists("theirs")


async def test_a_collection_of_an_older_format_is_built_anew(
    client: AsyncQdrantClient, index: ServerIndex
) -> None:
    await client.update_collection("mine", metadata={"format": 0})
    again = await ServerIndex.open(client, "mine", SPEC)
    assert await again.position() is None


async def test_a_collection_that_vanishes_has_no_position(
    client: AsyncQdrantClient, index: ServerIndex
) -> None:
    await client.delete_collection("mine")
    assert await index.position() is None
    with pytest.raises(IndexUnavailable):
        await index.search(vector("text"), ENCODER.encode_query("text"), limit=1)


async def test_each_sees_how_far_another_has_come(
    client: AsyncQdrantClient, index: ServerIndex
) -> None:
    other = await ServerIndex.open(client, "mine", SPEC)
    assert await other.position() == (7, 7)
    await index.remember(Position(8, 1))
    assert await other.position() == (8, 1)


async def test_a_server_that_is_not_there_yet_is_checked_when_it_is(
    unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    client = AsyncQdrantClient(url, check_compatibility=False)
    index = await ServerIndex.open(client, "mine", SPEC)
    with pytest.raises(IndexUnavailable, match="Qdrant does not answer"):
        await index.position()
    with pytest.raises(IndexUnavailable):
        await index.search(vector("text"), ENCODER.encode_query("text"), limit=1)
    assert "Qdrant does not answer" in caplog.text
    await client.close()


async def test_a_server_that_hangs_does_not_hold_up_the_start(
    silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_index, "OPEN_TIMEOUT_SEC", 0.1)
    client = AsyncQdrantClient(silent_server, check_compatibility=False, timeout=60)
    async with asyncio.timeout(30):
        await ServerIndex.open(client, "mine", SPEC)
    await client.close()


async def test_a_server_that_hangs_fails_a_search_in_time(
    silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_index, "TIMEOUT_SEC", 0.1)
    client = AsyncQdrantClient(silent_server, check_compatibility=False, timeout=60)
    index = ServerIndex(client, "mine", SPEC)
    index._position = Position(1, 1)
    async with asyncio.timeout(30):
        with pytest.raises(IndexUnavailable):
            await index.search(vector("text"), ENCODER.encode_query("text"), limit=1)
    await client.close()
