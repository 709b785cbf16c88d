"""POST /v1/completion-stream and /v1/qa-stream: server-sent events."""

import asyncio
from typing import Any

import httpx2
from starlette.responses import Response

from settings import Settings
from tests.conftest import Ingest
from tests.support import eventually, open_client, parse_events, read_events
from tests.upstream import MODEL, Upstream, chunk, sse

NOTHING_FOUND = "No documents found in context. Please try again with a different query."


async def test_a_completion_streams_in_the_known_shape(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("Hel", "lo\n\n", "data: x")

    *messages, done = await read_events(upstream_api, "/v1/completion-stream", "Hi")

    assert [event.name for event in messages] == ["message"] * 4
    assert [event.data["content"] for event in messages] == ["Hel", "lo\n\n", "data: x", ""]
    assert [event.data["finish_reason"] for event in messages] == [None, None, None, "stop"]
    for event in messages:
        assert event.data.keys() == {"id", "created", "model", "content", "finish_reason"}
        assert event.data["model"] == MODEL
        assert event.data["id"] == done.data["id"]
    assert done.name == "done"
    assert done.data["usage"] == {"prompt_tokens": 11, "completion_tokens": 7}


async def test_the_headers_keep_proxies_from_buffering(upstream_api: httpx2.AsyncClient) -> None:
    async with upstream_api.stream(
        "POST", "/v1/completion-stream", json={"message": "Hi"}
    ) as response:
        await response.aread()

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"


async def test_the_sources_come_before_the_first_message(
    ingest: Ingest, api: httpx2.AsyncClient
) -> None:
    await ingest({"a.md": "# Lakes\n\nThe lake is deep and cold.\n"})
    await in_index(api)

    sources, *messages, done = await read_events(api, "/v1/qa-stream", "How is the lake?")

    assert sources.name == "sources"
    assert [source["path"] for source in sources.data] == ["a.md"]
    assert {event.name for event in messages} == {"message"}
    text = "".join(event.data["content"] for event in messages)
    assert text == "The lake is deep and cold. [1]"
    assert done.data["model"] == "offline-extractive"


async def test_nothing_found_is_one_message(upstream_api: httpx2.AsyncClient) -> None:
    events = await read_events(upstream_api, "/v1/qa-stream", "Anything?")

    assert [event.name for event in events] == ["sources", "message", "done"]
    assert events[0].data == []
    assert events[1].data["content"] == NOTHING_FOUND
    assert events[1].data["finish_reason"] == "stop"


async def test_a_streamed_answer_is_stored_like_any_other(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("One", " two")

    *_, done = await read_events(upstream_api, "/v1/completion-stream", "Count")
    answer, question = (await upstream_api.get("/v1/messages")).json()

    assert question["message"] == "Count"
    assert answer["id"] == done.data["id"]
    assert answer["question_id"] == question["id"]
    assert (answer["message"], answer["status"]) == ("One two", "complete")
    assert answer["usage"] == {"prompt_tokens": 11, "completion_tokens": 7}


async def test_a_silent_stream_is_kept_alive_with_comments(
    upstream_settings: Settings, upstream: Upstream
) -> None:
    upstream.behave = upstream.says(sse(chunk("Hel")), then_hang=True)
    settings = upstream_settings.model_copy(update={"keepalive_sec": 0.05})

    async with (
        asyncio.timeout(10),
        open_client(settings) as client,
        client.stream("POST", "/v1/completion-stream", json={"message": "Hi"}) as response,
    ):
        received = ""
        async for text in response.aiter_text():
            received += text
            if received.count(": ping\n\n") >= 2:
                break

    assert [event.data["content"] for event in parse_events(received)] == ["Hel"]


async def test_when_the_reader_leaves_the_upstream_call_ends_and_the_part_is_kept(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.says(sse(chunk("Half an")), then_hang=True)

    async with upstream_api.stream(
        "POST", "/v1/completion-stream", json={"message": "Hi"}
    ) as response:
        assert "Half an" in await anext(response.aiter_text())

    async with asyncio.timeout(1):
        await upstream.stream_ended.wait()

    async def kept() -> bool:
        newest, *_ = (await upstream_api.get("/v1/messages")).json()
        return bool((newest["message"], newest["status"]) == ("Half an", "cancelled"))

    await eventually(kept)


async def test_when_the_reader_leaves_before_the_first_piece_the_upstream_call_ends(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.says(": waiting\n\n", then_hang=True)

    async with upstream_api.stream("POST", "/v1/completion-stream", json={"message": "Hi"}):
        pass

    async with asyncio.timeout(1):
        await upstream.stream_ended.wait()


async def test_two_hundred_streams_at_once_arrive_whole_and_unmixed(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    async def count(body: dict[str, Any]) -> Response:
        name = body["messages"][0]["content"]
        return await upstream.answers(*(f"{name}:{n} " for n in range(10)))(body)

    upstream.behave = count
    limits = httpx2.Limits(max_connections=None)
    base_url = upstream_api.base_url
    async with httpx2.AsyncClient(
        base_url=base_url, limits=limits, timeout=60, trust_env=False
    ) as client:
        streams = await asyncio.gather(
            *(read_events(client, "/v1/completion-stream", f"s{n}") for n in range(200))
        )

    for number, (*messages, done) in enumerate(streams):
        text = "".join(event.data["content"] for event in messages)
        assert text == "".join(f"s{number}:{n} " for n in range(10))
        assert done.name == "done"


async def in_index(client: httpx2.AsyncClient) -> None:
    """Wait until what was ingested is found."""

    async def check() -> bool:
        answer = await client.post("/v1/qa-create", json={"message": "lake"})
        return bool(answer.json()["sources"])

    await eventually(check)
