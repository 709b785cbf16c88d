"""A server that runs on while its knowledge base gets another embedding model."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from anyio import to_thread

from app.core.database import Database
from app.core.exceptions import StartupError
from app.knowledge import follower, live_model
from app.knowledge.document_store import prune_embeddings
from app.knowledge.embedding import Embedder
from app.knowledge.model_files import DEFAULT_MODEL, require_model
from app.knowledge.reindexing import begin_reindex, reindex
from app.resources.service import open_resources
from settings import Settings
from tests.knowledge.qdrant_stub import QdrantStub
from tests.knowledge.second_model import SECOND_MODEL, models_with_second
from tests.runs import Runs, open_runs
from tests.support import eventually, execute, open_client

QUESTION = {"message": "How hot is green tea brewed?"}
FILES: dict[str, str | bytes | None] = {
    "tea.md": "# Tea\n\nGreen tea is brewed at 80 degrees.\n",
    "coffee.md": "# Coffee\n\nCoffee is drunk with milk.\n",
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often."""
    monkeypatch.setattr(live_model, "POLL_SEC", 0.05)
    monkeypatch.setattr(live_model, "RETRY_SEC", 0.05)
    monkeypatch.setattr(live_model, "LOOK_SEC", 0.02)


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return models_with_second(tmp_path / "models")


@pytest.fixture
def both(settings: Settings, models_dir: Path) -> Settings:
    """Settings of a machine on which both models are prepared."""
    (settings.models_dir).unlink()
    (settings.models_dir).symlink_to(models_dir)
    return settings


@pytest.fixture
def second(models_dir: Path) -> Embedder:
    return Embedder.load(SECOND_MODEL, require_model(SECOND_MODEL, models_dir))


@pytest.fixture
async def runs(
    database: Database, embedder: Embedder, second: Embedder, settings: Settings, tmp_path: Path
) -> AsyncIterator[Runs]:
    """A knowledge base of the first model, and a worker that follows its model."""
    with open_runs(database, embedder, settings, tmp_path / "documents") as runs:
        embedders = {embedder.model_name: embedder, SECOND_MODEL: second}
        runs.steps._load_embedder = embedders.__getitem__  # type: ignore[assignment]
        await to_thread.run_sync(runs.run, FILES)
        yield runs


async def switch(database: Database, embedder: Embedder) -> None:
    await database.run(begin_reindex, embedder.model_name)
    await reindex(database, embedder, lambda done, total: None)


async def model_of(client: httpx2.AsyncClient) -> str:
    detail: str = (await client.get("/readiness")).json()["parts"]["embedding_model"]["detail"]
    return detail


async def answers(client: httpx2.AsyncClient, question: str, words: str) -> bool:
    response = await client.post("/v1/qa-create", json={"message": question})
    return response.status_code == 200 and words in response.json()["message"]


def generations(settings: Settings) -> list[Path]:
    return list(settings.qdrant_dir.glob("*/*-*"))


@pytest.mark.usefixtures("runs")
async def test_every_question_is_answered_through_the_switch(
    both: Settings, database: Database, second: Embedder
) -> None:
    async with open_client(both) as client:
        asked = 0

        async def ask_until(name: str) -> None:
            nonlocal asked
            while await model_of(client) != name:
                response = await client.post("/v1/qa-create", json=QUESTION)
                assert response.status_code == 200, response.text
                assert "80 degrees" in response.json()["message"]
                assert response.json()["sources"]
                asked += 1

        asking = [asyncio.create_task(ask_until(SECOND_MODEL)) for _ in range(3)]
        await switch(database, second)
        async with asyncio.timeout(60):
            await asyncio.gather(*asking)

        assert asked > 0
        assert await answers(client, QUESTION["message"], "80 degrees")


async def test_the_old_index_is_removed_and_the_new_one_followed(
    both: Settings, database: Database, second: Embedder, runs: Runs
) -> None:
    async with open_client(both) as client:
        [old] = generations(both)
        await switch(database, second)

        async def is_alone() -> bool:
            return not old.exists() and len(generations(both)) == 1

        await eventually(is_alone, within=60)
        # Nothing but the new index is left to find anything in.
        execute(database.url, f"DELETE FROM embedding WHERE model = '{DEFAULT_MODEL}'")
        await to_thread.run_sync(runs.run, {"milk.md": "# Milk\n\nMilk boils at 100 degrees.\n"})

        await eventually(lambda: answers(client, "When does milk boil?", "100 degrees"), within=60)


@pytest.mark.usefixtures("runs")
async def test_a_server_without_the_model_goes_on_with_the_old_one_and_says_so(
    settings: Settings, models_dir: Path, database: Database, second: Embedder
) -> None:
    async with open_client(settings) as client:
        await switch(database, second)

        async def says_so() -> bool:
            return f"`EMBEDDING_MODEL={SECOND_MODEL} make prepare`" in await model_of(client)

        await eventually(says_so)
        await database.run(prune_embeddings)
        assert (await client.get("/readiness")).status_code == 200
        assert await answers(client, QUESTION["message"], "80 degrees")

        settings.models_dir.unlink()
        settings.models_dir.symlink_to(models_dir)

        async def has_switched() -> bool:
            return await model_of(client) == SECOND_MODEL

        await eventually(has_switched, within=60)
        assert await answers(client, QUESTION["message"], "80 degrees")


async def test_what_was_stored_between_a_switch_and_one_back_is_found(
    settings: Settings, database: Database, embedder: Embedder, second: Embedder, runs: Runs
) -> None:
    async with open_client(settings) as client:
        await switch(database, second)

        async def has_noticed() -> bool:
            return await model_of(client) != DEFAULT_MODEL

        await eventually(has_noticed)
        # The old model, which this server goes on with, has no vector of it.
        await to_thread.run_sync(runs.run, {"milk.md": "# Milk\n\nMilk boils at 100 degrees.\n"})
        await switch(database, embedder)

        await eventually(lambda: answers(client, "When does milk boil?", "100 degrees"), within=60)


@pytest.mark.usefixtures("runs")
async def test_a_start_with_the_new_model_works_right_after_the_switch(
    both: Settings, database: Database, second: Embedder
) -> None:
    restarted = both.model_copy(update={"embedding_model": SECOND_MODEL})
    async with open_client(both):
        await switch(database, second)
    async with open_client(restarted) as client:
        assert await answers(client, QUESTION["message"], "80 degrees")
        assert await model_of(client) == SECOND_MODEL


@pytest.mark.usefixtures("runs")
async def test_the_next_start_goes_on_with_the_index_that_was_built_for_the_switch(
    both: Settings, database: Database, second: Embedder
) -> None:
    async with open_client(both) as client:
        await switch(database, second)

        async def has_switched() -> bool:
            return await model_of(client) == SECOND_MODEL and len(generations(both)) == 1

        await eventually(has_switched, within=60)
        built = generations(both)
    async with open_client(both.model_copy(update={"embedding_model": SECOND_MODEL})) as client:
        assert await answers(client, QUESTION["message"], "80 degrees")
        assert generations(both) == built


@pytest.mark.usefixtures("runs")
async def test_a_start_with_the_old_model_is_refused_with_what_to_do(
    both: Settings, database: Database, second: Embedder
) -> None:
    await switch(database, second)

    with pytest.raises(StartupError, match=f"Set EMBEDDING_MODEL={SECOND_MODEL}, or run"):
        async with open_resources(both):
            pass


@pytest.mark.usefixtures("runs")
# Qdrant's local mode says so once per process.
@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")
async def test_processes_that_share_a_qdrant_server_switch_and_remove_the_old_collection_later(
    both: Settings, database: Database, second: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "POLL_SEC", 0.1)
    qdrant = QdrantStub()
    shared = both.model_copy(update={"qdrant_url": qdrant.url})
    await qdrant.client.create_collection("somebody-elses", {})

    async def collections() -> set[str]:
        found = await qdrant.client.get_collections()
        return {collection.name for collection in found.collections}

    async with qdrant.running(), open_client(shared) as one, open_client(shared) as other:
        for client in (one, other):
            assert await answers(client, QUESTION["message"], "80 degrees")
        await switch(database, second)

        async def has_switched() -> bool:
            for client in (one, other):
                assert await answers(client, QUESTION["message"], "80 degrees")
            return [await model_of(one), await model_of(other)] == [SECOND_MODEL] * 2

        await eventually(has_switched, within=60)
        before = await collections()
        # As if a day had passed.
        execute(database.url, "UPDATE index_model SET switched_at = NULL")

        async def is_removed() -> bool:
            return "brag" not in await collections()

        await eventually(is_removed, within=60)
        assert await has_switched()
        assert await collections() == before - {"brag"}
        assert "somebody-elses" in before
        assert len(before) == 3
    await qdrant.close()
