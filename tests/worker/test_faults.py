"""Workers that are killed, stopped and cut off from the database; jobs that kill workers."""

import asyncio
import dataclasses
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.core.database import Database
from app.core.embedded_postgres import EmbeddedPostgres
from app.core.migrations import migrate
from app.worker.sweeping import MAX_WORKER_DEATHS
from settings import ROOT
from tests.support import execute, fetch
from tests.worker.jobs import HURRY, cancel, defer, ended, running_worker, status
from tests.worker.steps import PATIENCE_SEC, Event, gone, read_journal

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
async def start(database_url: str, tmp_path: Path) -> AsyncIterator[Start]:
    """Start workers as processes; none is left in the end."""
    workers: list[subprocess.Popen[bytes]] = []

    def start(*, stalled: float = 5) -> subprocess.Popen[bytes]:
        command = (sys.executable, "-m", "tests.worker.worker_process")
        arguments = (database_url, str(tmp_path), str(stalled))
        workers.append(subprocess.Popen([*command, *arguments], cwd=ROOT))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()
        worker.wait()


async def noted(folder: Path, path: str) -> Event:
    """Wait until a document's job has begun."""
    async with asyncio.timeout(PATIENCE_SEC):
        while not (events := [e for e in read_journal(folder) if e.path == path]):
            await asyncio.sleep(0.01)
    return events[-1]


async def exited(worker: subprocess.Popen[bytes]) -> int:
    return await asyncio.to_thread(worker.wait, PATIENCE_SEC)


async def test_another_worker_finishes_what_a_killed_one_had_begun(
    database_url: str, tmp_path: Path, start: Start
) -> None:
    killed = start()
    job = defer(database_url, "wait-1")
    child = (await noted(tmp_path, "wait-1")).pid

    killed.kill()
    await exited(killed)
    await gone(child)
    (tmp_path / "go").touch()
    start()

    assert await ended(database_url, job) == "succeeded"


async def test_a_job_that_keeps_killing_workers_is_given_up_and_takes_no_other_with_it(
    database_url: str, tmp_path: Path, start: Start
) -> None:
    poison, innocent = defer(database_url, "killer-1"), defer(database_url, "wait-1")
    blame = "INSERT INTO job_trouble (job_id, worker_deaths) VALUES"
    # Both were there each time, as far as anybody knows.
    execute(
        database_url,
        f"{blame} ({poison}, {MAX_WORKER_DEATHS - 3}), ({innocent}, {MAX_WORKER_DEATHS - 3})",
    )
    for _ in range(3):
        assert await exited(start(stalled=2)) == -signal.SIGKILL

    (tmp_path / "go").touch()
    start(stalled=2)

    assert await ended(database_url, poison) == "failed"
    assert await ended(database_url, innocent) == "succeeded"
    events = [event for event in read_journal(tmp_path) if event.step == "failure"]
    assert [(event.path, event.final) for event in events] == [("killer-1", True)]
    assert "worker that had it died" in str(events[0].message)


async def test_a_worker_that_is_told_to_stop_hands_its_jobs_to_another(
    database_url: str, tmp_path: Path, start: Start
) -> None:
    stopped = start()
    job = defer(database_url, "wait-1")
    child = (await noted(tmp_path, "wait-1")).pid

    stopped.terminate()
    assert await exited(stopped) == 0
    await gone(child)
    assert status(database_url, job) == "todo"

    (tmp_path / "go").touch()
    start()
    assert await ended(database_url, job) == "succeeded"


async def test_workers_share_the_jobs_and_do_none_twice(
    database_url: str, tmp_path: Path, start: Start
) -> None:
    start(), start()
    jobs = [defer(database_url, f"wait-{number}") for number in range(40)]
    while len({event.worker for event in read_journal(tmp_path) if event.path}) < 2:
        await asyncio.sleep(0.01)
    (tmp_path / "go").touch()

    assert {await ended(database_url, job) for job in jobs} == {"succeeded"}
    stored = [event.path for event in read_journal(tmp_path) if event.step == "store"]
    assert sorted(map(str, stored)) == sorted(f"wait-{number}" for number in range(40))


async def test_a_worker_goes_on_when_the_database_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "postgres"
    with (
        EmbeddedPostgres.start(folder) as server,
        closing(Database(server.url(), pool_size=2)) as database,
    ):
        url = server.url()
        migrate(url)
        async with running_worker(database, tmp_path):
            interrupted = defer(url, "wait-1")
            await noted(tmp_path, "wait-1")

            with caplog.at_level(logging.INFO):
                os.kill(
                    int((folder / "cluster/postmaster.pid").read_text().split()[0]), signal.SIGKILL
                )
                while "lost the database" not in caplog.text:
                    await asyncio.sleep(0.01)
                (tmp_path / "go").touch()
                with await asyncio.to_thread(EmbeddedPostgres.start, folder):
                    assert await ended(url, interrupted) == "succeeded"
                    assert await ended(url, defer(url, "tea.md")) == "succeeded"
                    assert fetch(url, "SELECT * FROM job_trouble") == []

    assert caplog.text.count("lost the database") == 1
    assert "Traceback" not in caplog.text


async def test_a_worker_that_waits_for_the_database_can_be_stopped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = Database(f"postgres://nobody@/nothing?host={tmp_path}", pool_size=1)
    async with running_worker(nowhere, tmp_path), asyncio.timeout(PATIENCE_SEC):
        while "lost the database" not in caplog.text:
            await asyncio.sleep(0.01)
    nowhere.close()


async def test_a_worker_can_be_stopped_at_any_moment_of_its_start(
    database: Database, tmp_path: Path
) -> None:
    for milliseconds in range(0, 60, 2):
        async with asyncio.timeout(PATIENCE_SEC), running_worker(database, tmp_path):
            await asyncio.sleep(milliseconds / 1000)


async def test_after_a_long_sleep_a_worker_does_not_take_itself_for_dead(
    database: Database, tmp_path: Path
) -> None:
    beats = (
        "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - interval '1 h'"
    )
    drowsy = dataclasses.replace(HURRY, heartbeat=3600, stalled=1800)
    async with running_worker(database, tmp_path, timing=drowsy):
        job = defer(database.url, "wait-1")
        await noted(tmp_path, "wait-1")

        execute(
            database.url,
            "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '2 h'",
        )
        async with asyncio.timeout(PATIENCE_SEC):
            while fetch(database.url, beats) == [(0,)]:
                await asyncio.sleep(0.01)

        (tmp_path / "go").touch()
        assert await ended(database.url, job) == "succeeded"
    assert [event.step for event in read_journal(tmp_path) if event.path] == ["fetch", "store"]


async def test_a_job_whose_worker_signed_off_is_put_back_without_blame(
    database: Database, tmp_path: Path
) -> None:
    job = defer(database.url, "tea.md")
    execute(database.url, f"UPDATE procrastinate_jobs SET status = 'doing' WHERE id = {job}")

    async with running_worker(database, tmp_path):
        assert await ended(database.url, job) == "succeeded"

    assert fetch(database.url, "SELECT * FROM job_trouble") == []


async def test_a_job_that_was_cancelled_after_its_worker_had_died_is_aborted(
    database: Database, tmp_path: Path
) -> None:
    job = defer(database.url, "tea.md")
    execute(database.url, f"UPDATE procrastinate_jobs SET status = 'doing' WHERE id = {job}")
    cancel(database.url, job)

    async with running_worker(database, tmp_path):
        assert await ended(database.url, job) == "aborted"


async def test_a_job_that_a_living_worker_has_failed_to_abort_is_aborted(
    database: Database, tmp_path: Path
) -> None:
    job = defer(database.url, "tea.md")
    ((worker,),) = fetch(
        database.url,
        "INSERT INTO procrastinate_workers (last_heartbeat) VALUES ('infinity') RETURNING id",
    )
    execute(
        database.url,
        f"UPDATE procrastinate_jobs SET status = 'doing', worker_id = {worker} WHERE id = {job}",
    )
    cancel(database.url, job)
    execute(database.url, "UPDATE procrastinate_events SET at = at - interval '1 h'")

    async with running_worker(database, tmp_path):
        assert await ended(database.url, job) == "aborted"


async def test_a_dead_workers_maintenance_does_not_stop_the_maintenance_of_others(
    database: Database, tmp_path: Path
) -> None:
    ((dead,),) = fetch(
        database.url,
        "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, status, args)"
        " VALUES ('maintenance', 'maintenance:sweep', 'maintenance:sweep', 'doing',"
        """ '{"timestamp": 0}') RETURNING id""",
    )
    job = defer(database.url, "tea.md")
    execute(database.url, f"UPDATE procrastinate_jobs SET status = 'doing' WHERE id = {job}")

    async with running_worker(database, tmp_path):
        assert await ended(database.url, dead) == "failed"
        assert await ended(database.url, job) == "succeeded"


async def test_the_worker_program_starts_and_stops(database_url: str, tmp_path: Path) -> None:
    worker = await program(DATABASE_URL=database_url, VAR_DIR=str(tmp_path))
    assert worker.stderr is not None
    log = await worker.stderr.readline()

    worker.terminate()
    log += (await worker.communicate())[1]

    assert b"the worker runs" in log, log.decode()
    assert b"Traceback" not in log, log.decode()
    assert worker.returncode == 0


async def test_the_worker_program_says_plainly_what_prevents_it(tmp_path: Path) -> None:
    url = f"postgres://brag:hunter2@/brag?host={tmp_path}&sslmode=disable"
    worker = await program(DATABASE_URL=url, VAR_DIR=str(tmp_path))
    _, errors = await worker.communicate()

    assert worker.returncode == 1
    assert b"Check DATABASE_URL." in errors
    assert b"Traceback" not in errors
    assert b"hunter2" not in errors


async def program(**environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.worker"),
        cwd=ROOT,
        env=os.environ | environment,
        stderr=asyncio.subprocess.PIPE,
    )
