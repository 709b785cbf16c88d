"""Sentry: told of unexpected errors when SENTRY_DSN is set, and of nobody's texts or keys."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
import sentry_sdk
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.core.database import Database
from app.core.reporting import report_errors
from settings import Settings
from tests.serving import serve
from tests.support import execute, open_client, read_events
from tests.upstream import Upstream
from tests.worker.jobs import defer, ended, running_worker

QUESTION = "What has a zebra?"
KEY = "sk-zebra-key"


@pytest.fixture(autouse=True)
def _nothing_configured_afterwards() -> Iterator[None]:
    """Sentry's client belongs to the whole process."""
    yield
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def reports() -> list[str]:
    """What Sentry was sent."""
    return []


@pytest.fixture
async def dsn(reports: list[str]) -> AsyncIterator[str]:
    """A Sentry on loopback."""

    async def receive(request: Request) -> Response:
        body = await request.body()
        is_packed = request.headers.get("content-encoding") == "gzip"
        reports.append((gzip.decompress(body) if is_packed else body).decode())
        return JSONResponse({})

    app = Starlette(routes=[Route("/api/1/envelope/", receive, methods=["POST"])])
    async with serve(app) as url:
        yield f"{url.replace('://', '://public@')}/1"


@pytest.fixture
def with_key(upstream_settings: Settings) -> Settings:
    return upstream_settings.model_copy(update={"openai_api_key": SecretStr(KEY)})


async def fail(client: httpx2.AsyncClient, upstream: Upstream, database_url: str) -> None:
    """Have the upstream refuse, an answer not be stored, and a question not be stored."""
    works = upstream.behave
    upstream.behave = upstream.refuses(401)
    await client.post("/v1/completion", json={"message": QUESTION})
    upstream.behave = works
    execute(database_url, "ALTER TABLE message ADD CHECK (role <> 'assistant') NOT VALID")
    await read_events(client, "/v1/completion-stream", QUESTION)
    execute(database_url, "ALTER TABLE message ADD CHECK (role <> 'user') NOT VALID")
    response = await client.post("/v1/completion", json={"message": QUESTION})
    assert response.status_code == 500
    # Sent by a thread that waits for the server in this very event loop.
    await asyncio.to_thread(sentry_sdk.flush, 10)


async def test_unexpected_errors_are_reported_without_texts_and_keys(
    with_key: Settings, upstream: Upstream, database_url: str, dsn: str, reports: list[str]
) -> None:
    upstream.behave = upstream.answers("A zebra has stripes.")
    settings = with_key.model_copy(update={"sentry_dsn": SecretStr(dsn)})

    async with open_client(settings) as client:
        await fail(client, upstream, database_url)

    events = [report for report in reports if '"exception"' in report]
    assert any("StatementFailed" in event and "SQLSTATE 23514" in event for event in events)
    assert any("an answer could not be stored" in event for event in events)
    # By which its log lines are found.
    assert all('"tags":{"request_id":"' in event for event in events)
    for report in reports:
        assert "zebra" not in report
        # What the upstream says may quote a prompt or a key.
        assert "secret internals" not in report


async def test_nothing_is_sent_when_nothing_is_configured(
    with_key: Settings, upstream: Upstream, database_url: str, dsn: str, reports: list[str]
) -> None:
    async with open_client(with_key) as client:
        await fail(client, upstream, database_url)

    assert not sentry_sdk.get_client().is_active()
    assert reports == []


async def test_a_job_that_breaks_is_reported_with_its_run_and_without_what_it_says(
    settings: Settings, database: Database, dsn: str, reports: list[str], tmp_path: Path
) -> None:
    report_errors(settings.model_copy(update={"sentry_dsn": SecretStr(dsn)}))

    async with running_worker(database, tmp_path):
        job = defer(database.url, "broken-1")
        assert await ended(database.url, job) == "failed"
    await asyncio.to_thread(sentry_sdk.flush, 10)

    events = [report for report in reports if '"exception"' in report]
    assert any("a job failed for good" in event for event in events)
    assert all(f'"tags":{{"ingestion":"1","job":"{job}"}}' in event for event in events)
    assert any('"type":"ValueError"' in event for event in events)
    for report in reports:
        assert "hunter2" not in report
