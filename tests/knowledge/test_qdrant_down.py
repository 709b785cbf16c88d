"""A Qdrant server that is away: questions wait for it, everything else goes on."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from app.core.exceptions import StartupError
from app.knowledge import follower
from app.resources.service import open_resources
from settings import Settings
from tests.conftest import Ingest
from tests.knowledge.qdrant_stub import QdrantStub
from tests.support import eventually, open_client

# Qdrant's local mode says so once per process.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

FILES: dict[str, str | bytes | None] = {"tea.md": "# Tea\n\nGreen tea is brewed at 80 degrees.\n"}
QUESTION = {"message": "How hot is green tea brewed?"}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often."""
    monkeypatch.setattr(follower, "MAX_RETRY_SEC", 0.1)
    monkeypatch.setattr(follower, "POLL_SEC", 0.1)


@pytest.fixture
async def qdrant() -> AsyncIterator[QdrantStub]:
    """A server that nobody has started yet."""
    stub = QdrantStub()
    yield stub
    await stub.close()


@pytest.fixture
def shared(settings: Settings, qdrant: QdrantStub) -> Settings:
    """Settings that name that server."""
    return settings.model_copy(update={"qdrant_url": qdrant.url})


async def answers(client: httpx2.AsyncClient) -> bool:
    response = await client.post("/v1/qa-create", json=QUESTION)
    return response.status_code == 200 and "80 degrees" in response.json()["message"]


async def is_ready(client: httpx2.AsyncClient) -> bool:
    return (await client.get("/readiness")).status_code == 200


async def test_the_service_starts_without_it_and_says_so(shared: Settings) -> None:
    async with open_client(shared) as client:
        question = await client.post("/v1/qa-create", json=QUESTION)
        stream = await client.post("/v1/qa-stream", json=QUESTION)
        plain = await client.post("/v1/completion", json={"message": "Hi"})
        readiness = await client.get("/readiness")

    for response in (question, stream):
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "index_unavailable"
    assert plain.status_code == 200
    assert readiness.status_code == 503
    index = readiness.json()["parts"]["index"]
    assert index["status"] == "down"
    assert "Qdrant does not answer" in index["detail"]


async def test_what_was_ingested_meanwhile_is_found_when_it_comes(
    shared: Settings, qdrant: QdrantStub, ingest: Ingest
) -> None:
    async with open_client(shared) as client:
        await ingest(FILES)
        assert not await answers(client)

        async with qdrant.running():
            await eventually(lambda: answers(client), within=30)
            await eventually(lambda: is_ready(client))


async def test_questions_fail_while_it_is_away_and_the_index_catches_up_when_it_is_back(
    shared: Settings, qdrant: QdrantStub, ingest: Ingest
) -> None:
    async with open_client(shared) as client:
        async with qdrant.running():
            await eventually(lambda: is_ready(client), within=30)

        response = await client.post("/v1/qa-create", json=QUESTION)
        await ingest(FILES)
        assert response.status_code == 503
        assert "Qdrant does not answer" in response.json()["detail"]

        async with qdrant.running():
            await eventually(lambda: answers(client), within=30)


async def test_a_collection_that_turns_out_to_be_anothers_is_named_by_readiness(
    shared: Settings, qdrant: QdrantStub
) -> None:
    await qdrant.client.create_collection("brag", {})

    async def says_whose(client: httpx2.AsyncClient) -> bool:
        index = (await client.get("/readiness")).json()["parts"]["index"]
        return "not made by bRAG" in index["detail"]

    async with open_client(shared) as client, qdrant.running():
        await eventually(lambda: says_whose(client), within=30)
        assert not await answers(client)


async def test_a_collection_of_anothers_stops_the_start_when_the_server_answers(
    shared: Settings, qdrant: QdrantStub
) -> None:
    await qdrant.client.create_collection("brag", {})

    async with qdrant.running():
        with pytest.raises(StartupError, match="QDRANT_COLLECTION_NAME"):
            async with open_resources(shared):
                pass


async def test_a_key_that_is_refused_stops_the_start(settings: Settings) -> None:
    qdrant = QdrantStub(api_key="right")
    shared = settings.model_copy(update={"qdrant_url": qdrant.url})

    async with qdrant.running():
        with pytest.raises(StartupError, match="QDRANT_API_KEY"):
            async with open_resources(shared):
                pass
    await qdrant.close()
