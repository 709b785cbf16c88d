"""What the job engine takes: jobs whose steps do nothing, or everything but embed."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import psycopg

from app.accounts.models import LOCAL
from app.core.database import Database
from app.knowledge.connectors.config import FolderConfig
from app.knowledge.sources.models import NewSource
from app.knowledge.sources.services import create
from app.resources.database import open_database
from benchmarks.environment import Environment
from benchmarks.knowledge import write_folder
from benchmarks.result import Result

__all__ = ["jobs"]

JOBS = 1_000
# They start a process per slot, and load what it needs.
FIRST_JOBS = 40
SLOTS = (2, 4)
TIMEOUT_SEC = 300
POLL_SEC = 0.2
DEFER = """
    SELECT procrastinate_defer_jobs_v1(ARRAY(
        SELECT CAST(
            ROW(
                'document', 'ingestion:document', 0, NULL, NULL,
                jsonb_build_object('ingestion_id', 'benchmark', 'path', CAST(number AS text)), NULL
            ) AS procrastinate_job_to_defer_v1
        )
        FROM generate_series(1, %s) AS number
    ))
"""
LAST_JOB = "SELECT coalesce(max(id), 0) FROM procrastinate_jobs"
# From when the first one was taken until the last one's end was stored.
DONE = """
    SELECT count(*) FILTER (WHERE type = 'succeeded'),
        count(*) FILTER (WHERE type IN ('failed', 'deferred_for_retry')),
        extract(epoch FROM
            max(at) FILTER (WHERE type = 'succeeded') - min(at) FILTER (WHERE type = 'started')
        )
    FROM procrastinate_events
    JOIN procrastinate_jobs ON procrastinate_jobs.id = job_id
    WHERE queue_name = 'document' AND job_id > %s
"""

Connection = psycopg.AsyncConnection[tuple[int, int, float]]
Defer = Callable[[int], Awaitable[object]]


async def jobs(environment: Environment) -> list[Result]:
    """Measure one worker process, with two slots and with four."""
    results = []
    folders = itertools.count()
    async with (
        open_database(environment.settings) as database,
        await Connection.connect(database.url, autocommit=True) as connection,
    ):

        async def defer_nothing(count: int) -> None:
            await connection.execute(DEFER, [count])

        async def defer_documents(count: int) -> None:
            # Other texts each time: those that are known already would not be stored again.
            await _ingest_folder(environment, database, files=count, seed=next(folders))

        for slots in SLOTS:
            rate = await _rate(environment, connection, "nothing", slots, defer_nothing)
            name = f"jobs of two steps that do nothing, one worker of {slots} slots"
            results.append(Result(name, rate, "jobs/s", at_least=100))
        for slots in SLOTS:
            rate = await _rate(environment, connection, "documents", slots, defer_documents)
            name = f"documents stored without embedding them, one worker of {slots} slots"
            results.append(Result(name, rate, "jobs/s", at_least=100))
    return results


async def _rate(
    environment: Environment, connection: Connection, steps: str, slots: int, defer: Defer
) -> float:
    """Return how many jobs a second a worker does."""
    roots = str(environment.folder)
    arguments = ("-m", "benchmarks.worker", steps, str(slots))
    async with environment.process(*arguments, INGEST_ROOTS=roots):
        await _seconds(connection, defer, FIRST_JOBS)
        return JOBS / await _seconds(connection, defer, JOBS)


async def _seconds(connection: Connection, defer: Defer, count: int) -> float:
    cursor = await connection.execute(LAST_JOB)
    last_job = await cursor.fetchone()
    await defer(count)
    async with asyncio.timeout(TIMEOUT_SEC):
        while True:
            await asyncio.sleep(POLL_SEC)
            row = await (await connection.execute(DONE, last_job)).fetchone()
            assert row is not None
            done, failed, seconds = row
            assert not failed, "jobs have failed"
            if done == count:
                return float(seconds)


async def _ingest_folder(
    environment: Environment, database: Database, *, files: int, seed: int
) -> None:
    settings = environment.settings.model_copy(update={"ingest_roots": [environment.folder]})
    folder = environment.folder / f"documents{seed}"
    write_folder(folder, files=files, seed=seed)
    await create(
        database, settings, LOCAL, NewSource(config=FolderConfig(kind="folder", path=str(folder)))
    )
