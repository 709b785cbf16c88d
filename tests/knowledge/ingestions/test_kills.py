"""Workers, the API and PostgreSQL are killed in the middle of runs."""

import asyncio
import os
import random
import signal
import subprocess
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.core.database import Database
from app.core.embedded_postgres import EmbeddedPostgres
from app.core.migrations import migrate
from app.knowledge.connectors.config import FolderConfig
from settings import Settings
from tests.conftest import MODELS_DIR
from tests.knowledge.ingestions.faults import (
    PATIENCE_SEC,
    assert_all_is_well,
    assert_nothing_is_under_way,
    assert_stored_once,
    begin,
    descendants,
    done,
    ended,
    state,
    watch_writes,
    workers,
    write_files,
)
from tests.processes import postmaster_is_running, run_app, running
from tests.support import eventually
from tests.worker.steps import gone

FILES = 300


async def kill(process: "subprocess.Popen[bytes]") -> list[int]:
    """Kill a program as `kill -9` does; return the ids of what it had started."""
    started = descendants(process.pid)
    process.kill()
    await asyncio.to_thread(process.wait)
    return started


@pytest.mark.parametrize(("count", "kills"), [(1, 10), (3, 20)])
async def test_every_file_is_stored_once_however_often_workers_are_killed(
    ingest_settings: Settings, database: Database, folder: Path, count: int, kills: int
) -> None:
    url = database.url
    texts = write_files(folder, FILES)
    watch_writes(url)
    orphans: list[int] = []
    # At the very beginning, and then wherever it happens to be.
    moments = [0, *sorted(random.sample(range(FILES - 50), kills - 1))]

    async with workers(ingest_settings, url) as start:
        crew = [start() for _ in range(count)]
        run = await begin(database, ingest_settings, FolderConfig(kind="folder", path=str(folder)))
        for moment in moments:

            async def has_come(moment: int = moment) -> bool:
                return state(url, run) != "queued" and done(url, run) >= moment

            await eventually(has_come, within=PATIENCE_SEC)
            await asyncio.sleep(random.uniform(0, 0.05))
            assert done(url, run) < FILES
            orphans += await kill(crew.pop(random.randrange(count)))
            crew.append(start())

        assert await ended(url, run) == "succeeded"

    await gone(*orphans)
    assert_stored_once(url, run, texts)
    assert_nothing_is_under_way(url)
    await assert_all_is_well(ingest_settings, url)


async def test_every_file_is_stored_once_however_often_postgresql_is_killed(
    ingest_settings: Settings, folder: Path, tmp_path: Path
) -> None:
    texts = write_files(folder, 100)
    data_dir = tmp_path / "postgres"
    with ExitStack() as stack:
        url = stack.enter_context(EmbeddedPostgres.start(data_dir)).url()
        migrate(url)
        watch_writes(url)
        database = stack.enter_context(closing(Database(url, pool_size=2)))
        async with workers(ingest_settings, url) as start:
            start()
            config = FolderConfig(kind="folder", path=str(folder))
            run = await begin(database, ingest_settings, config)
            for moment in (1, 20, 40):

                async def has_come(moment: int = moment) -> bool:
                    return done(url, run) >= moment

                await eventually(has_come, within=PATIENCE_SEC)
                assert done(url, run) < len(texts)
                postmaster = (data_dir / "cluster/postmaster.pid").read_text().split()[0]
                os.kill(int(postmaster), signal.SIGKILL)
                server = await asyncio.to_thread(EmbeddedPostgres.start, data_dir)
                stack.enter_context(server)

            assert await ended(url, run) == "succeeded"

        assert_stored_once(url, run, texts)
        assert_nothing_is_under_way(url)
        await assert_all_is_well(ingest_settings, url)


async def test_every_file_is_stored_once_however_often_a_service_without_anything_is_killed(
    folder: Path, tmp_path: Path
) -> None:
    """The database and the worker belong to it."""
    write_files(folder, 60)
    var_dir = tmp_path / "var"
    var_dir.mkdir()
    (var_dir / "models").symlink_to(MODELS_DIR)
    program = ("tests.knowledge.ingestions.hurried", "serve")
    orphans: list[int] = []
    run = ""

    async def progress(client: httpx2.AsyncClient) -> dict[str, Any]:
        found: dict[str, Any] = (await client.get(f"/v1/ingestions/{run}")).json()
        return found

    for moment in (1, 15, 30):
        async with running(var_dir, *program, log=tmp_path / "log", INGEST_ROOTS=str(folder)) as (
            client,
            process,
        ):
            if not run:
                config = {"kind": "folder", "path": str(folder)}
                created = await client.post("/v1/sources", json={"config": config})
                run = created.json()["ingestion"]["id"]

            async def has_come(client: httpx2.AsyncClient = client, moment: int = moment) -> bool:
                return bool((await progress(client))["stored"] >= moment)

            await eventually(has_come, within=PATIENCE_SEC)
            orphans += await kill(process)

    async with running(var_dir, *program, log=tmp_path / "log", INGEST_ROOTS=str(folder)) as (
        client,
        _,
    ):

        async def has_ended() -> bool:
            return bool((await progress(client))["finished_at"])

        await eventually(has_ended, within=PATIENCE_SEC)
        found = await progress(client)
        counts = {name: found[name] for name in ("listed", "stored", "skipped", "failed")}
        assert found["state"] == "succeeded"
        assert counts == {"listed": 60, "stored": 60, "skipped": 0, "failed": 0}

        async def is_well() -> bool:
            doctor = await asyncio.to_thread(run_app, var_dir, "doctor")
            return doctor.stdout.endswith("All is well.\n")

        await eventually(is_well, within=PATIENCE_SEC)

    async def has_stopped() -> bool:
        return not postmaster_is_running(var_dir)

    await gone(*orphans)
    await eventually(has_stopped)
