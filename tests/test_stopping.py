"""SIGTERM, as a service manager or Docker sends it: all over within ten seconds, and whole."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from settings import ROOT, Settings
from tests.conftest import MODELS_DIR
from tests.processes import MAKE, environment, postmaster_is_running, running
from tests.serving import serve
from tests.support import Event, eventually, fetch, open_client, parse_events
from tests.upstream import MODEL, Pieces, Upstream

# Docker kills what has not ended by then.
LIMIT_SEC = 10


@pytest.fixture
def var_dir(tmp_path: Path) -> Path:
    var_dir = tmp_path / "var"
    var_dir.mkdir()
    (var_dir / "models").symlink_to(MODELS_DIR)
    return var_dir


@asynccontextmanager
async def silent_site() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Serve a site that never answers; tell when it was asked."""
    asked = asyncio.Event()

    async def hang(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            asked.set()
            await asyncio.Event().wait()

    async with serve(hang, graceful_sec=0) as url:
        yield url, asked


async def crawl(client: httpx2.AsyncClient, site: str) -> str:
    """Begin a run over a site."""
    response = await client.post("/v1/sources", json={"config": {"kind": "web", "url": site}})
    return str(response.raise_for_status().json()["ingestion"]["id"])


async def read(response: httpx2.Response) -> list[Event]:
    return parse_events((await response.aread()).decode())


async def test_make_run_ends_in_time_with_readers_and_a_running_job(
    var_dir: Path, upstream: Upstream, tmp_path: Path
) -> None:
    pieces: Pieces = asyncio.Queue()
    pieces.put_nowait("The beginning")
    upstream.behave = upstream.types(pieces)
    log = tmp_path / "log"
    variables = {
        "WORKERS": "1",
        "OPENAI_BASE_URL": upstream.url,
        "OPENAI_MODELS": MODEL,
        "WEB_ALLOW_PRIVATE_ADDRESSES": "true",
    }

    async with (
        silent_site() as (site, asked),
        running(var_dir, "run", program=MAKE, log=log, **variables) as (client, process),
    ):
        run = f"/v1/ingestions/{await crawl(client, site)}/events"
        question = {"message": "What?"}
        async with (
            asyncio.timeout(40),
            client.stream("GET", run) as progress,
            client.stream("POST", "/v1/completion-stream", json=question) as answer,
        ):
            await asked.wait()
            began = time.monotonic()
            process.terminate()
            events = await asyncio.gather(read(progress), read(answer))
            await asyncio.to_thread(process.wait, 30)
            took = time.monotonic() - began

    assert took < LIMIT_SEC
    assert [names[-1].name for names in events] == ["error", "error"]
    assert events[1][0].data["content"] == "The beginning"
    assert "Traceback" not in log.read_text()
    await eventually(lambda: stopped(var_dir))


async def test_make_worker_ends_in_time_and_hands_its_job_back(settings: Settings) -> None:
    assert settings.database_url
    url = settings.database_url.get_secret_value()
    allowed = {"DATABASE_URL": url, "WEB_ALLOW_PRIVATE_ADDRESSES": "true"}
    variables = environment(settings.var_dir, **allowed)

    async with (
        silent_site() as (site, asked),
        open_client(settings.model_copy(update={"web_allow_private_addresses": True})) as client,
    ):
        run = await crawl(client, site)
        worker = subprocess.Popen([*MAKE, "worker"], cwd=ROOT, env=variables)
        try:
            async with asyncio.timeout(40):
                await asked.wait()
            began = time.monotonic()
            worker.terminate()
            await asyncio.to_thread(worker.wait, 30)
            took = time.monotonic() - began
        finally:
            worker.kill()

    assert took < LIMIT_SEC
    assert fetch(url, "SELECT state FROM ingestion") == [("listing",)]
    job = "SELECT status FROM procrastinate_jobs WHERE args->>'ingestion_id' = '{}'"
    assert fetch(url, job.format(run)) == [("todo",)]


async def stopped(var_dir: Path) -> bool:
    return not postmaster_is_running(var_dir)
