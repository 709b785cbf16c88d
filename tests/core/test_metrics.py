"""What /metrics tells of requests, questions and answers; every metric is documented."""

import asyncio
import re
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.core.metrics import REGISTRY
from app.core.sampling import LOOP_SEC
from settings import ROOT, Settings
from tests.conftest import Ingest
from tests.core.metrics import scrape
from tests.support import open_client, read_events
from tests.upstream import MODEL, USAGE, Upstream, chunk, sse

STAGES = "brag_question_stage_duration_seconds_count"
DOCUMENT = {"ingestion.md": "# Ingestion\n\nTo ingest a folder, run `python -m app ingest PATH`.\n"}
QUESTION = "How do I ingest a folder?"


async def test_requests_are_counted_by_the_template_of_their_route(api: httpx2.AsyncClient) -> None:
    before = await scrape(api)

    await api.get("/v1/tokens/00000000-0000-0000-0000-000000000000")
    await api.get("/v1/messages/00000000-0000-0000-0000-000000000000/trace")
    for path in ("/nope/1", "/nope/2"):
        await api.request("PROPFIND", path)

    after = await scrape(api)
    name, count = "brag_http_requests_total", "brag_http_request_duration_seconds_count"
    route = "/v1/messages/{message_id}/trace"
    assert after.since(before, name, method="GET", route=route, status="404") == 1
    assert after.since(before, count, method="GET", route=route) == 1
    assert after.since(before, name, method="other", route="unknown", status="404") == 2
    # A route of a router within a router, and a method that it doesn't have.
    token = "/v1/tokens/{token_id}"
    assert after.since(before, name, method="GET", route=token, status="405") == 1


async def test_no_id_and_no_text_is_a_label(
    upstream_api: httpx2.AsyncClient, ingest: Ingest
) -> None:
    await ingest(DOCUMENT)
    await upstream_api.post("/v1/qa-create", json={"message": f"{QUESTION} zebra"})
    await upstream_api.get("/v1/chats/not-an-id-zebra?q=zebra")

    text = (await upstream_api.get("/metrics")).text

    assert "zebra" not in text
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", text)


async def test_stages_answers_tokens_and_citations_of_a_question_are_told(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, ingest: Ingest
) -> None:
    upstream.behave = upstream.answers(
        "To ingest a folder, run `python -m app ingest PATH`. [1][7]"
    )
    await ingest(DOCUMENT)
    before = await scrape(upstream_api)

    answer = (await upstream_api.post("/v1/qa-create", json={"message": QUESTION})).json()
    upstream.behave = upstream.answers("Zebras ", "fly at night. [1", "] [8]")
    await read_events(upstream_api, "/v1/qa-stream", QUESTION)

    after = await scrape(upstream_api)
    both = ("embed", "index", "passages", "relevance", "choose", "pack", "prompt")
    for stage in (*both, "generation", "citations", "save"):
        assert after.since(before, STAGES, stage=stage) == 2, stage
    assert after.since(before, STAGES, stage="first_token") == 1
    assert after.since(before, "brag_answers_total", status="complete") == 2
    assert after.since(before, "brag_retrieval_relevance_ratio_count") == 2
    for kind in ("prompt", "completion"):
        used = after.since(before, "brag_tokens_total", model=MODEL, kind=kind)
        assert used == 2 * USAGE[f"{kind}_tokens"]
    for result, count in (("verified", 1), ("unverified", 1), ("dropped", 2)):
        assert after.since(before, "brag_citations_total", result=result) == count, result
    timings = (await upstream_api.get(f"/v1/messages/{answer['id']}/trace")).json()["timings_ms"]
    assert {*both, "generation", "citations"} <= timings.keys()


async def test_what_is_refused_or_fails_is_told(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, ingest: Ingest
) -> None:
    before = await scrape(upstream_api)

    await upstream_api.post("/v1/qa-create", json={"message": QUESTION})
    await read_events(upstream_api, "/v1/qa-stream", QUESTION)
    upstream.behave = upstream.refuses(500)
    await upstream_api.post("/v1/completion", json={"message": QUESTION})
    await upstream_api.post("/v1/completion-stream", json={"message": QUESTION})
    upstream.behave = upstream.says(sse(chunk("Run")), then_break=True)
    await read_events(upstream_api, "/v1/completion-stream", QUESTION)

    after = await scrape(upstream_api)
    assert after.since(before, "brag_answers_total", status="nothing_found") == 2
    assert after.since(before, "brag_answers_total", status="failed") == 3
    assert after.value("brag_llm_calls_in_progress") == 0
    assert after.value("brag_streams_open") == 0


async def test_streams_calls_and_connections_are_told_while_they_are_open(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.says(sse(chunk("Run")), then_hang=True)
    body = {"message": QUESTION}

    async with upstream_api.stream("POST", "/v1/completion-stream", json=body) as response:
        lines = response.aiter_lines()
        await anext(lines)
        during = await scrape(upstream_api)

    assert during.value("brag_llm_calls_in_progress") == 1
    assert during.value("brag_streams_open") == 1
    assert during.value("brag_database_pool_size") == Settings().database_pool_size
    assert during.value("brag_database_pool_waiting") == 0


async def test_the_event_loop_is_watched(settings: Settings) -> None:
    async with open_client(settings) as client:
        before = await scrape(client)
        await asyncio.sleep(LOOP_SEC + 0.3)
        after = await scrape(client)

    assert after.since(before, "brag_event_loop_lag_seconds_count") >= 1


def documented() -> dict[str, tuple[str, set[str]]]:
    """Return type and labels of each metric in the table of docs/operations.md."""
    text = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `(brag_\w+)` \| (\w+) \| (.*?) \|", text, re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


async def test_the_documented_metrics_are_those_that_there_are(api: httpx2.AsyncClient) -> None:
    response = await api.get("/metrics")
    told = {family.name: family.type for family in text_string_to_metric_families(response.text)}
    collectors: list[Any] = list(REGISTRY._collector_to_names)
    labels = {
        family.name: set(collector._labelnames)
        for collector in collectors
        for family in collector.describe()
    }
    table = documented()

    # Counters are parsed without their ending. No worker has ever been heard of here.
    names = {f"{name}_total" if kind == "counter" else name: kind for name, kind in told.items()}
    names["brag_worker_heartbeat_seconds"] = "gauge"
    assert {name: kind for name, (kind, _) in table.items()} == names
    for name, (_, labels_told) in table.items():
        assert labels_told == labels.get(name.removesuffix("_total"), labels_told), name
    assert len(labels) > 10


@pytest.mark.parametrize("name", documented())
def test_names_follow_the_conventions(name: str) -> None:
    kind, _ = documented()[name]

    assert re.fullmatch(r"brag_[a-z]+(_[a-z]+)*", name)
    assert name.endswith("_total") == (kind == "counter")
    assert not re.search(r"(_ms|_milliseconds|_minutes)\b", name)
    if kind == "histogram":
        assert name.endswith(("_seconds", "_ratio"))
