"""Traces, sent to a real receiver: one span per stage, across processes, and nobody's words."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.core.database import Database
from app.core.tracing import LAST_EXPORT_SEC, current_traceparent
from settings import ROOT, Settings
from tests.conftest import Ingest
from tests.otlp import Receiver, receiver
from tests.processes import environment
from tests.support import eventually, execute, fetch, open_client, read_events
from tests.upstream import Upstream

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = {"traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01", "x-request-id": "order-7"}
FILES = {"tea.md": "# Tea\n\nGreen tea is brewed at 80 degrees, says the zebra.\n"}
QUESTION = "How hot is green tea brewed by a zebra?"


@pytest.fixture
async def traces(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    """A receiver that the environment names."""
    async with receiver() as traces:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", traces.url)
        yield traces


async def test_a_question_has_a_span_for_each_of_its_stages_below_its_caller(
    upstream_settings: Settings, upstream: Upstream, ingest: Ingest, traces: Receiver
) -> None:
    upstream.behave = upstream.answers("Green tea is brewed at 80 degrees. [1]")
    await ingest(FILES)
    async with open_client(upstream_settings) as client:
        body = {"message": QUESTION}
        answer = await client.post("/v1/qa-create?zebra=zebra", json=body, headers=CALLER)
        await read_events(client, "/v1/qa-stream", QUESTION)
        await client.get("/health")

    assert answer.status_code == 200
    [asked] = traces.named("POST /v1/qa-create")
    assert asked.trace_id == TRACE_ID
    assert asked.span.parent_span_id.hex() == "00f067aa0ba902b7"
    assert asked.service == "brag"
    assert asked.facts["http.response.status_code"] == 200
    assert asked.facts["brag.request_id"] == "order-7"
    stages = {"embed", "index", "passages", "relevance", "choose", "pack", "prompt", "generation"}
    stages |= {"citations", "save"}
    assert sorted(traces.below(asked)) == sorted(f"question.{stage}" for stage in stages)
    for one in traces.spans:
        assert one.span.start_time_unix_nano < one.span.end_time_unix_nano, one.name
    [streamed] = traces.named("POST /v1/qa-stream")
    assert streamed.trace_id != TRACE_ID
    assert {"question.first_token", "question.save"} <= set(traces.below(streamed))
    # What machines ask every few seconds is left out, and so are people's words.
    assert not traces.named("GET /health")
    assert not any(b"zebra" in body or b"80 degrees" in body for body in traces.bodies)
    # The language model's server is told nothing.
    assert upstream.requests


async def test_a_failure_is_told_by_its_kind_alone(
    settings: Settings, database_url: str, traces: Receiver
) -> None:
    async with open_client(settings) as client:
        execute(database_url, "ALTER TABLE message ADD CHECK (message <> 'zebra')")
        response = await client.post("/v1/completion", json={"message": "zebra"})

    assert response.status_code == 500
    [span] = traces.named("POST /v1/completion")
    assert span.facts["error.type"] == "StatementFailed"
    assert not any(b"zebra" in body for body in traces.bodies)


async def test_the_documents_of_a_run_belong_to_the_request_that_began_it_in_other_processes(
    settings: Settings, database: Database, embedder: object, tmp_path: Path, traces: Receiver
) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "zebra.md").write_text(FILES["tea.md"])
    settings = settings.model_copy(update={"ingest_roots": [folder]})
    source = {"config": {"kind": "folder", "path": str(folder)}}
    async with open_client(settings) as client:
        response = await client.post("/v1/sources", json=source, headers=CALLER)
        assert response.status_code < 300, response.text
    log = tmp_path / "log"
    variables = {
        "DATABASE_URL": database.url,
        "INGEST_ROOTS": str(folder),
        "ENVIRONMENT": "production",
        "AUTH": "required",
        "SECRET_KEY": "0123456789abcdef" * 2,
        "LOG_LEVEL": "DEBUG",
        "OTEL_SERVICE_NAME": "a-worker",
    }
    with log.open("wb") as stderr:
        worker = subprocess.Popen(
            [sys.executable, "-m", "app.worker"],
            cwd=ROOT,
            env=environment(settings.var_dir, **variables),
            stderr=stderr,
        )
    try:

        async def is_done() -> bool:
            assert worker.poll() is None, log.read_text()
            return fetch(database.url, "SELECT state FROM ingestion") == [("succeeded",)]

        await eventually(is_done, within=200)
    finally:
        worker.terminate()
        await asyncio.to_thread(worker.wait, 30)

    [began] = traces.named("POST /v1/sources")
    assert began.trace_id == TRACE_ID
    [listing] = traces.named("job ingestion:list")
    [document] = traces.named("job ingestion:document")
    for job in (listing, document):
        assert job.service == "a-worker"
        assert job.trace_id == TRACE_ID
        assert job.span.parent_span_id == began.span.span_id
    assert traces.below(listing) == ["document.list"]
    stages = ("parse", "chunk", "embed", "store")
    assert traces.below(document) == [f"document.{stage}" for stage in stages]
    assert not any(b"zebra" in body for body in traces.bodies)
    # Jobs say in their logs whose they are.
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    of_jobs = [line for line in lines if "ingestion" in line]
    assert [line["outcome"] for line in of_jobs if "outcome" in line] == ["succeeded"] * 2
    for line in of_jobs:
        assert line["request_id"] == "order-7"
        assert line["trace_id"] == TRACE_ID
        assert line["ingestion"] == document.facts["brag.ingestion"]
        assert line["job"]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
async def test_nothing_is_traced_unless_it_is_wanted(
    settings: Settings,
    traces: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
) -> None:
    if not variables:
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    async with open_client(settings) as client:
        await client.get("/v1/messages", headers=CALLER)
        assert current_traceparent() is None

    assert traces.bodies == []


async def test_the_sampler_of_the_environment_decides(
    settings: Settings, traces: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")

    async with open_client(settings) as client:
        await client.get("/v1/messages")
        await client.get("/v1/messages", headers=CALLER)

    assert {one.trace_id for one in traces.spans} == {TRACE_ID}


async def test_a_receiver_that_is_away_or_hangs_slows_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        port = hanging.getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
        monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
        async with contextlib.AsyncExitStack() as stack:
            client = await stack.enter_async_context(open_client(settings))
            for _ in range(30):
                assert (await client.get("/v1/messages")).status_code == 200
            assert current_traceparent() is None
            began = time.monotonic()
        took = time.monotonic() - began

    assert took < LAST_EXPORT_SEC + 4


def test_without_anything_configured_the_sdk_is_not_even_loaded() -> None:
    code = (
        "import sys; from app.core.tracing import configure_tracing; configure_tracing();"
        "print('opentelemetry.sdk.trace' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert result.stdout.strip() == "False"
