"""Following runs: many readers cost what one costs, and none misses anything."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from uuid import UUID

from sqlalchemy import event

from app.accounts.models import LOCAL, LOCAL_ACCOUNT
from app.core.database import Database, Queries
from app.knowledge.ingestions.following import POLL_SEC, RunWatch
from app.knowledge.ingestions.transitions import log
from tests.support import Event, execute, parse_events

LOOKS = 3


def insert_run(queries: Queries, folder: str) -> UUID:
    source_id = queries.upsert_source(account_id=LOCAL_ACCOUNT, kind="folder", location=folder)
    run: UUID = queries.insert_ingestion(
        source_id=source_id, cause="request", everything=False, origin="{}"
    )
    return run


def listed(queries: Queries, run: UUID, number: int) -> None:
    queries.count_listed(ingestion_id=run, listed=number)


async def following(stream: AsyncGenerator[bytes]) -> Event:
    async with asyncio.timeout(10):
        [one] = parse_events((await anext(stream)).decode())
    return one


async def test_many_idle_readers_cost_one_statement_a_look(database: Database) -> None:
    runs = [await database.run(insert_run, f"/{number}") for number in range(10)]
    watch = RunWatch(database)
    streams = [watch.follow(LOCAL, runs[number % 10], after=0) for number in range(200)]
    statements: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    for stream in streams:
        assert (await following(stream)).name == "progress"
    reading = [asyncio.create_task(anext(stream)) for stream in streams]
    # The first look at a run is news to whoever follows it.
    await asyncio.sleep(POLL_SEC * 4)
    event.listen(database._engine, "before_cursor_execute", note)
    await asyncio.sleep(POLL_SEC * LOOKS)

    assert 1 <= len(statements) <= LOOKS + 1
    assert not any(task.done() for task in reading)
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    assert watch._looking is None


async def test_every_reader_gets_each_change_and_the_end(database: Database) -> None:
    run = await database.run(insert_run, "/folder")
    watch = RunWatch(database)
    first, second = (watch.follow(LOCAL, run, after=0) for _ in range(2))
    async with aclosing(first), aclosing(second):
        for stream in (first, second):
            assert (await following(stream)).data["listed"] == 0
        await database.run(listed, run, 3)
        for stream in (first, second):
            assert (await following(stream)).data["listed"] == 3
        await database.run(log, str(run), "a word")
        for stream in (first, second):
            assert (await following(stream)).data["message"] == "a word"
        await database.run(
            lambda queries: queries.finish_ingestion(ingestion_id=run, state="failed", error="No.")
        )
        for stream in (first, second):
            names = [(await following(stream)).name for _ in range(2)]
            assert names == ["progress", "done"]


async def test_a_change_before_the_first_look_is_not_missed(database: Database) -> None:
    run = await database.run(insert_run, "/folder")
    stream = RunWatch(database).follow(LOCAL, run, after=0)
    async with aclosing(stream):
        await following(stream)
        await database.run(listed, run, 1)

        assert (await following(stream)).data["listed"] == 1


async def test_a_run_that_is_deleted_ends_its_readers(database: Database) -> None:
    run = await database.run(insert_run, "/folder")
    stream = RunWatch(database).follow(LOCAL, run, after=0)
    async with aclosing(stream):
        await following(stream)
        await asyncio.sleep(POLL_SEC * 2)
        execute(database.url, "DELETE FROM source")

        assert (await following(stream)).data["code"] == "ingestion_not_found"


async def test_an_outage_ends_readers_and_later_ones_follow_again(database: Database) -> None:
    run = await database.run(insert_run, "/folder")
    watch = RunWatch(database)
    name = database.url.split("@/")[1].partition("?")[0]
    ended, later = (watch.follow(LOCAL, run, after=0) for _ in range(2))
    async with aclosing(ended), aclosing(later):
        await following(ended)
        server = database.url.replace(name, "postgres", 1)
        execute(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        execute(
            server,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )

        assert (await following(ended)).data["code"] == "database_unavailable"
        execute(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert (await following(later)).name == "progress"
        await database.run(listed, run, 1)
        assert (await following(later)).data["listed"] == 1
