"""Metrics of several processes: one scrape of gunicorn tells them all, and workers tell theirs."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from app.core.database import Database
from app.knowledge.embedding import Embedder
from settings import ROOT, Settings
from tests.core.metrics import Scrape, read, scrape
from tests.processes import GUNICORN, environment, free_port, running
from tests.runs import open_runs
from tests.support import eventually, fetch

REQUESTS = "brag_http_requests_total"
HEALTH = {"method": "GET", "route": "/health", "status": "200"}


@asynccontextmanager
async def other_client(client: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """A connection of its own, which any of the processes may get."""
    async with httpx2.AsyncClient(base_url=client.base_url, timeout=30, trust_env=False) as other:
        yield other


async def test_one_scrape_tells_what_all_processes_of_gunicorn_have_counted(
    settings: Settings, database_url: str
) -> None:
    async with running(settings.var_dir, *GUNICORN, DATABASE_URL=database_url, WORKERS="2") as (
        client,
        process,
    ):

        async def ask() -> None:
            async with other_client(client) as other:
                assert (await other.get("/health")).status_code == 200

        async def told() -> Scrape:
            async with other_client(client) as other:
                return await scrape(other)

        async def pool_is(connections: float) -> bool:
            return (await told()).value("brag_database_pool_size") == connections

        await eventually(lambda: pool_is(20), within=200)
        folder = settings.var_dir / "metrics"
        for _ in range(40):
            await ask()
        counts = {(await told()).value(REQUESTS, **HEALTH) for _ in range(10)}
        files = list(folder.glob("*/counter_*.db"))

        # What has been counted by a process that died stays; what it had open does not.
        killed = int(files[0].stem.rpartition("_")[2])
        os.kill(killed, signal.SIGKILL)
        await asyncio.to_thread(wait_for_end, killed)
        await eventually(lambda: pool_is(20), within=200)
        afterwards = await told()

    assert counts == {40}
    assert len(files) == 2
    assert afterwards.value(REQUESTS, **HEALTH) == 40
    assert afterwards.value("brag_part_up", part="database") == 1
    assert list(folder.iterdir()) == []
    assert process.returncode == 0


def wait_for_end(pid: int) -> None:
    """Wait until a process has ended and its parent knows."""
    until = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < until
        time.sleep(0.02)


async def test_a_worker_tells_the_stages_of_its_documents(
    settings: Settings, database: Database, embedder: Embedder, tmp_path: Path
) -> None:
    port = free_port()
    with open_runs(database, embedder, settings, tmp_path / "documents") as runs:
        runs.write({"tea.md": "# Tea\n\nGreen tea is brewed at 80 degrees.\n"})
        runs.begin()
    variables = {
        "DATABASE_URL": database.url,
        "WORKER_METRICS_PORT": str(port),
        "INGEST_ROOTS": str(tmp_path / "documents"),
    }
    worker = subprocess.Popen(
        [sys.executable, "-m", "app.worker"],
        cwd=ROOT,
        env=environment(settings.var_dir, **variables),
    )
    try:

        async def is_done() -> bool:
            assert worker.poll() is None
            return fetch(database.url, "SELECT state FROM ingestion") == [("succeeded",)]

        await eventually(is_done, within=200)
        async with httpx2.AsyncClient(trust_env=False) as client:
            told = Scrape(read((await client.get(f"http://127.0.0.1:{port}/metrics")).text))
    finally:
        worker.terminate()
        await asyncio.to_thread(worker.wait, 30)

    for stage in ("list", "parse", "chunk", "embed", "store"):
        name = "brag_document_stage_duration_seconds_count"
        assert told.value(name, stage=stage) == 1, stage
    for task in ("ingestion:list", "ingestion:document"):
        assert told.value("brag_job_runs_total", task=task, outcome="succeeded") == 1, task
    assert told.value("brag_database_pool_size") > 0
    assert worker.returncode == 0
