"""Jobs: how they run, fail, are tried again, given up and cancelled."""

import asyncio
import dataclasses
import logging
from itertools import pairwise
from pathlib import Path

import pytest

from app.core.database import Database
from tests.support import execute, fetch
from tests.worker.jobs import HURRY, cancel, defer, ended, running_worker, status
from tests.worker.steps import PATIENCE_SEC, gone, read_journal, started


def steps(folder: Path, path: str | None = None) -> list[str]:
    return [event.step for event in read_journal(folder) if event.path == path]


def failures(folder: Path, path: str) -> list[tuple[str | None, bool | None]]:
    return [
        (event.message, event.final)
        for event in read_journal(folder)
        if event.step == "failure" and event.path == path
    ]


async def test_a_document_is_fetched_and_stored(database: Database, tmp_path: Path) -> None:
    async with running_worker(database, tmp_path):
        job = defer(database.url, "tea.md")

        assert await ended(database.url, job) == "succeeded"

    assert steps(tmp_path, "tea.md") == ["fetch", "store"]


async def test_a_document_with_nothing_to_store_is_only_fetched(
    database: Database, tmp_path: Path
) -> None:
    async with running_worker(database, tmp_path):
        assert await ended(database.url, defer(database.url, "empty-page")) == "succeeded"

    assert steps(tmp_path, "empty-page") == ["fetch"]


async def test_a_source_is_listed_while_all_places_for_documents_are_taken(
    database: Database, tmp_path: Path
) -> None:
    async with running_worker(database, tmp_path):
        waiting = [defer(database.url, f"wait-{number}") for number in range(3)]

        assert await ended(database.url, defer(database.url, None)) == "succeeded"

        (tmp_path / "go").touch()
        assert [await ended(database.url, job) for job in waiting] == ["succeeded"] * 3


async def test_a_failure_that_may_pass_is_tried_again_until_it_passes(
    database: Database, tmp_path: Path
) -> None:
    async with running_worker(database, tmp_path):
        assert await ended(database.url, defer(database.url, "twice-1")) == "succeeded"

    assert steps(tmp_path, "twice-1") == ["fetch", "failure"] * 2 + ["fetch", "store"]
    assert failures(tmp_path, "twice-1") == [("Not yet.", False)] * 2


async def test_what_fails_four_times_is_given_up(database: Database, tmp_path: Path) -> None:
    async with running_worker(database, tmp_path):
        assert await ended(database.url, defer(database.url, "unavailable-1")) == "failed"

    message = "The site does not answer."
    assert steps(tmp_path, "unavailable-1") == ["fetch", "failure"] * 4
    assert failures(tmp_path, "unavailable-1") == [(message, False)] * 3 + [(message, True)]


async def test_each_try_waits_twice_as_long_as_the_one_before(
    database: Database, tmp_path: Path
) -> None:
    async with running_worker(database, tmp_path):
        job = defer(database.url, "unavailable-1")
        await ended(database.url, job)

    events = fetch(
        database.url,
        f"SELECT type, extract(epoch FROM at) FROM procrastinate_events WHERE job_id = {job}"
        " AND type IN ('started', 'scheduled') ORDER BY id",
    )
    waits = [later - at for (_, at), (kind, later) in pairwise(events) if kind == "scheduled"]
    first = HURRY.first_retry
    assert len(waits) == 3
    assert all(wait >= first * 2**number for number, wait in enumerate(waits))


async def test_an_unexpected_exception_is_logged_and_not_shown(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with running_worker(database, tmp_path):
            assert await ended(database.url, defer(database.url, "broken-1")) == "failed"

    messages = {message for message, _ in failures(tmp_path, "broken-1")}
    assert messages == {"Something unexpected went wrong. The worker's log says what."}
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 4
    assert "ValueError: the password is hunter2" in caplog.text


async def test_a_step_that_takes_too_long_is_killed_and_tried_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.worker.tasks.FETCH_SEC", 2)
    async with running_worker(database, tmp_path):
        job = defer(database.url, "hang-1")
        pids = await started(tmp_path / "hang-1.pid")
        await gone(*pids)
        while not failures(tmp_path, "hang-1"):
            await asyncio.sleep(0.01)
        cancel(database.url, job)

    assert failures(tmp_path, "hang-1")[0] == ("It took longer than 2 seconds.", False)


async def test_a_job_whose_process_crashes_three_times_is_given_up(
    database: Database, tmp_path: Path
) -> None:
    async with running_worker(database, tmp_path):
        job = defer(database.url, "crash-1")

        assert await ended(database.url, job) == "failed"
        assert await ended(database.url, defer(database.url, "tea.md")) == "succeeded"

    message = "Its process ended unexpectedly. Perhaps memory ran out."
    assert failures(tmp_path, "crash-1") == [(message, False)] * 2 + [(message, True)]


async def test_a_failure_that_could_not_be_noted_is_no_end(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.worker.tasks.UNNOTED_RETRY_SEC", 0.05)
    async with running_worker(database, tmp_path):
        assert await ended(database.url, defer(database.url, "unnoted")) == "failed"

    assert failures(tmp_path, "unnoted")[-1] == ("The site does not answer.", True)


async def test_a_job_that_is_run_again_by_hand_gets_all_its_chances_back(
    database: Database, tmp_path: Path
) -> None:
    async with running_worker(database, tmp_path):
        job = defer(database.url, "crash-1")
        assert await ended(database.url, job) == "failed"

        query = f"SELECT procrastinate_retry_job_v2({job}, now(), NULL, NULL, NULL)::text"
        fetch(database.url, query)
        assert await ended(database.url, job) == "failed"

    assert [final for _, final in failures(tmp_path, "crash-1")] == [False, False, True] * 2


async def test_a_cancelled_job_stops_at_once_with_all_it_started(
    database: Database, tmp_path: Path
) -> None:
    async with running_worker(database, tmp_path):
        job = defer(database.url, "hang-1")
        pids = await started(tmp_path / "hang-1.pid")

        cancel(database.url, job)

        assert await ended(database.url, job) == "aborted"
        await gone(*pids)
    assert failures(tmp_path, "hang-1") == []


async def test_a_cancel_that_nobody_was_told_of_is_noticed(
    database: Database, tmp_path: Path
) -> None:
    execute(
        database.url,
        "DROP TRIGGER procrastinate_jobs_notify_queue_job_aborted_v1 ON procrastinate_jobs",
    )
    async with running_worker(database, tmp_path):
        job = defer(database.url, "hang-1")
        await started(tmp_path / "hang-1.pid")

        cancel(database.url, job)

        assert await ended(database.url, job) == "aborted"


async def test_a_job_that_was_cancelled_while_it_waited_never_runs(
    database: Database, tmp_path: Path
) -> None:
    job = defer(database.url, "tea.md")
    cancel(database.url, job)

    async with running_worker(database, tmp_path):
        assert await ended(database.url, defer(database.url, "milk.md")) == "succeeded"

    assert status(database.url, job) == "cancelled"
    assert steps(tmp_path, "tea.md") == []


async def test_a_worker_that_stops_lets_running_steps_end(
    database: Database, tmp_path: Path
) -> None:
    patient = dataclasses.replace(HURRY, grace=PATIENCE_SEC)
    async with running_worker(database, tmp_path, timing=patient):
        job = defer(database.url, "wait-1")
        while not steps(tmp_path, "wait-1"):
            await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.2, (tmp_path / "go").touch)

    assert status(database.url, job) == "succeeded"


async def test_a_worker_that_stops_hands_back_what_takes_too_long(
    database: Database, tmp_path: Path
) -> None:
    async with running_worker(database, tmp_path):
        job = defer(database.url, "wait-1")
        while not steps(tmp_path, "wait-1"):
            await asyncio.sleep(0.01)

    assert status(database.url, job) == "todo"
    (tmp_path / "go").touch()
    async with running_worker(database, tmp_path):
        assert await ended(database.url, job) == "succeeded"
    assert failures(tmp_path, "wait-1") == []


async def test_due_ingestions_are_begun_and_what_is_unneeded_is_removed(
    database: Database, tmp_path: Path
) -> None:
    execute(
        database.url,
        "SELECT procrastinate_defer_jobs_v1(ARRAY["
        "ROW('maintenance', 'maintenance:prune', 0, NULL, NULL, '{}', NULL)"
        "::procrastinate_job_to_defer_v1])",
    )
    async with running_worker(database, tmp_path), asyncio.timeout(PATIENCE_SEC):
        # A worker that starts makes up for the minute that has just passed.
        while not {"schedule", "prune"} <= set(steps(tmp_path)):
            await asyncio.sleep(0.02)


async def test_maintenance_that_went_well_leaves_no_jobs_behind(
    database: Database, tmp_path: Path
) -> None:
    count = "SELECT count(*) FROM procrastinate_jobs WHERE queue_name = 'maintenance'"
    async with running_worker(database, tmp_path), asyncio.timeout(PATIENCE_SEC):
        while "schedule" not in steps(tmp_path) or fetch(database.url, count) != [(0,)]:
            await asyncio.sleep(0.02)
