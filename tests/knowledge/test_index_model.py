"""A knowledge base has one embedding model; the first ingestion decides which."""

import asyncio
import threading

import pytest

from app.core.database import Database, Queries
from app.core.exceptions import StartupError
from app.knowledge.exceptions import ModelReplaced
from app.knowledge.index_model import register_model, require_model_of_index
from tests.support import eventually, fetch


async def test_an_empty_knowledge_base_takes_any_model(database: Database) -> None:
    await database.run(require_model_of_index, "any")


async def test_the_first_model_is_registered_and_may_be_registered_again(
    database: Database, database_url: str
) -> None:
    await database.run(register_model, "first", 3)
    await database.run(register_model, "first", 3)

    await database.run(require_model_of_index, "first")
    assert fetch(database_url, "SELECT model, dimensions FROM index_model") == [("first", 3)]


async def test_another_model_is_refused_with_what_to_do(database: Database) -> None:
    await database.run(register_model, "first", 3)

    with pytest.raises(StartupError, match="Set EMBEDDING_MODEL=first"):
        await database.run(require_model_of_index, "second")
    with pytest.raises(ModelReplaced):
        await database.run(register_model, "second", 3)


@pytest.mark.parametrize("model", ["first", "second"])
async def test_of_two_that_register_at_once_the_first_decides(
    database: Database, database_url: str, model: str
) -> None:
    registered, go_on = threading.Event(), threading.Event()

    def register_slowly(queries: Queries) -> None:
        register_model(queries, "first", 3)
        registered.set()
        assert go_on.wait(timeout=30)

    async def is_waiting() -> bool:
        waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname ="
        return len(fetch(database_url, f"{waiting} current_database()")) == 1

    first = asyncio.create_task(database.run(register_slowly))
    await asyncio.to_thread(registered.wait, 30)
    second = asyncio.create_task(database.run(register_model, model, 3))
    await eventually(is_waiting, within=30)
    go_on.set()

    await first
    if model == "first":
        await second
    else:
        with pytest.raises(ModelReplaced):
            await second
