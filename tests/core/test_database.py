"""PostgreSQL that goes away and comes back, and transactions."""

import asyncio
import os
import signal
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from app.accounts.models import LOCAL_ACCOUNT
from app.core.database import Database, Listener, Queries
from app.core.embedded_postgres import EmbeddedPostgres
from app.core.exceptions import DatabaseUnavailable
from settings import Settings
from tests.support import eventually, execute, fetch, open_client


async def test_a_function_runs_in_one_transaction(database: Database, database_url: str) -> None:
    def insert_then_fail(queries: Queries) -> None:
        queries.insert_question(account_id=LOCAL_ACCOUNT, model="m", message="never stored")
        raise KeyError

    with pytest.raises(KeyError):
        await database.run(insert_then_fail)

    assert fetch(database_url, "SELECT FROM message") == []


async def test_more_callers_than_connections_wait_their_turn(database: Database) -> None:
    def insert(queries: Queries, number: int) -> int:
        queries.insert_question(account_id=LOCAL_ACCOUNT, model="m", message=str(number))
        return number

    results = await asyncio.gather(*(database.run(insert, number) for number in range(60)))

    assert results == list(range(60))


async def test_a_lost_connection_is_replaced(database: Database, database_url: str) -> None:
    await database.run(lambda queries: queries.ping())
    # The second argument: wait until the other end is really gone.
    execute(
        database_url,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE application_name = 'brag' AND datname = current_database()",
    )

    assert await database.run(lambda queries: queries.ping()) == 1


async def test_a_server_that_is_gone_is_an_error_that_says_so(tmp_path: Path) -> None:
    database = Database(f"postgres://brag:hunter2@/brag?host={tmp_path}", pool_size=1)

    with pytest.raises(DatabaseUnavailable) as error:
        await database.run(lambda queries: queries.ping())

    assert "hunter2" not in str(error.value)


async def test_a_listener_hears_what_others_notify(database_url: str) -> None:
    listener = await Listener.open(database_url, "index_change")
    execute(database_url, "NOTIFY index_change")

    async with asyncio.timeout(10):
        await listener.notified.wait()
    listener.close()


async def test_a_listener_wakes_up_when_its_connection_breaks(database_url: str) -> None:
    listener = await Listener.open(database_url, "index_change")
    execute(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )

    async with asyncio.timeout(10):
        while not listener.broken:
            await listener.notified.wait()
            listener.notified.clear()
    listener.close()


async def test_when_postgres_goes_away_answers_are_503_and_when_it_is_back_they_work(
    settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "postgres"
    with EmbeddedPostgres.start(folder) as server:
        settings = settings.model_copy(update={"database_url": SecretStr(server.url())})
        async with open_client(settings) as client:
            assert (await complete(client)).status_code == 200

            kill_postgres(folder)
            # What it has forked outlives it for a moment, and may still answer.
            await eventually(lambda: database_is_gone(client))
            gone = await complete(client)
            readiness = await client.get("/readiness")
            healthcheck = await client.get("/healthcheck")
            with EmbeddedPostgres.start(folder):
                await eventually(lambda: works(client), within=30)

    assert gone.status_code == 503
    assert gone.json()["error"]["code"] == "database_unavailable"
    assert readiness.status_code == 503
    assert readiness.json()["parts"]["database"]["status"] == "down"
    assert healthcheck.status_code == 200


async def test_an_embedded_postgres_that_was_killed_is_started_again(settings: Settings) -> None:
    settings = settings.model_copy(update={"database_url": None})
    async with open_client(settings) as client:
        assert (await complete(client)).status_code == 200

        kill_postgres(settings.postgres_dir)
        await eventually(lambda: works(client), within=30)

        assert len((await client.get("/v1/messages")).json()) >= 4


async def database_is_gone(client: httpx2.AsyncClient) -> bool:
    return (await client.get("/readiness")).status_code == 503


async def works(client: httpx2.AsyncClient) -> bool:
    ready = await client.get("/readiness")
    return ready.status_code == 200 and (await complete(client)).status_code == 200


async def complete(client: httpx2.AsyncClient) -> httpx2.Response:
    return await client.post("/v1/completion", json={"message": "Hi"})


def kill_postgres(folder: Path) -> None:
    pid = int((folder / "cluster" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
