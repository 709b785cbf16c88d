"""POST /v1/completion-stream and /v1/qa-stream: server-sent events."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import httpx2
from starlette.responses import Response
from starlette.types import Message

from app.accounts.models import LOCAL
from app.chat.models import MessageRequest
from app.core.streaming import EventStream
from app.main import create_app
from app.resources.service import open_resources
from settings import Settings
from tests.chat.asking import until_found
from tests.conftest import Ingest
from tests.serving import serve
from tests.support import eventually, execute, fetch, open_client, parse_events, read_events
from tests.upstream import MODEL, Upstream, chunk, sse

ANSWERS = "SELECT message, status FROM message WHERE role = 'assistant'"
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
    assert done.data["usage"] == {"prompt_tokens": 11, "completion_tokens": 7, "cost": None}


async def test_the_headers_keep_proxies_from_buffering(upstream_api: httpx2.AsyncClient) -> None:
    async with upstream_api.stream(
        "POST", "/v1/completion-stream", json={"message": "Hi"}
    ) as response:
        await response.aread()

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"


async def test_the_sources_come_before_the_first_message(
    ingest: Ingest, api: httpx2.AsyncClient
) -> None:
    await ingest({"a.md": "# Lakes\n\nThe lake is deep and cold.\n"})
    await until_found(api, "a.md")

    events = await read_events(api, "/v1/qa-stream", "How is the lake?")

    sources, *messages, citations, done = events
    assert sources.name == "sources"
    assert [source["path"] for source in sources.data] == ["a.md"]
    assert {event.name for event in messages} == {"message"}
    text = "".join(event.data["content"] for event in messages)
    assert text == "The lake is deep and cold. [1]"
    assert [citation["marker"] for citation in citations.data] == [1]
    assert done.data["model"] == "offline-extractive"


async def test_nothing_found_is_one_message(upstream_api: httpx2.AsyncClient) -> None:
    events = await read_events(upstream_api, "/v1/qa-stream", "Anything?")

    assert [event.name for event in events] == ["sources", "message", "citations", "done"]
    assert events[0].data == events[2].data == []
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
    assert answer["usage"] == {"prompt_tokens": 11, "completion_tokens": 7, "cost": None}


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


async def test_when_the_reader_leaves_before_the_upstream_answers_the_call_ends(
    settings: Settings, database_url: str
) -> None:
    called, ended = asyncio.Event(), asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        called.set()
        while await reader.read(65_536):
            pass
        ended.set()
        writer.close()

    upstream = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    host, port = upstream.sockets[0].getsockname()
    settings = settings.model_copy(update={"openai_base_url": f"http://{host}:{port}/v1"})
    async with upstream, open_client(settings) as client:
        asking = asyncio.create_task(client.post("/v1/completion-stream", json={"message": "Hi"}))
        await called.wait()
        asking.cancel()

        async with asyncio.timeout(1):
            await ended.wait()

    assert fetch(database_url, "SELECT message FROM message") == [("Hi",)]


async def test_when_the_reader_has_left_before_the_first_event_the_source_is_closed() -> None:
    closed = asyncio.Event()

    async def source() -> AsyncGenerator[bytes]:
        try:
            yield b""
            yield b"never wanted"
        finally:
            closed.set()

    async def left() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        await asyncio.Event().wait()

    events = source()
    await anext(events)
    stream = EventStream(events, keepalive_sec=1, limit_sec=1)
    await stream({"type": "http"}, left, send)

    assert closed.is_set()


async def test_a_reader_that_stops_reading_is_cut_off_and_the_upstream_call_ends(
    upstream_settings: Settings, upstream: Upstream, database_url: str
) -> None:
    async def flood(_: dict[str, Any]) -> Response:
        return upstream.streams([sse(chunk("x" * 50_000))] * 1_000)

    upstream.behave = flood
    settings = upstream_settings.model_copy(update={"generation_timeout_sec": 0.5})

    async with open_client(settings) as client:
        address = (client.base_url.host, client.base_url.port)
        reader, writer = await asyncio.open_connection(*address)
        body = b'{"message": "Hi"}'
        writer.write(
            b"POST /v1/completion-stream HTTP/1.1\r\nhost: localhost\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        )
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        await asyncio.wait_for(upstream.stream_ended.wait(), 10)

        async def kept() -> bool:
            return [status for _, status in fetch(database_url, ANSWERS)] == ["cancelled"]

        await eventually(kept)
        writer.transport.abort()


async def test_when_the_server_stops_the_reader_is_told_and_the_part_is_kept(
    upstream_settings: Settings, upstream: Upstream, database_url: str
) -> None:
    upstream.behave = upstream.says(sse(chunk("Half an")), then_hang=True)

    async with AsyncExitStack() as stack:
        server = AsyncExitStack()
        url = await server.enter_async_context(serve(create_app(upstream_settings), graceful_sec=0))
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=url, trust_env=False))
        response = await stack.enter_async_context(
            client.stream("POST", "/v1/completion-stream", json={"message": "Hi"})
        )
        parts = response.aiter_text()
        received = await anext(parts)
        await server.aclose()
        received += "".join([part async for part in parts])

    assert [event.name for event in parse_events(received)] == ["message", "error"]
    assert parse_events(received)[-1].data["code"] == "server_stopping"
    assert fetch(database_url, ANSWERS) == [("Half an", "cancelled")]


async def test_the_database_is_not_closed_before_open_streams_are_stored(
    upstream_settings: Settings, upstream: Upstream, database_url: str
) -> None:
    upstream.behave = upstream.says(sse(chunk("Half an")), then_hang=True)

    stack = AsyncExitStack()
    resources = await stack.enter_async_context(open_resources(upstream_settings))
    events = await resources.chat.stream_completion(MessageRequest(message="Hi"), LOCAL)
    await anext(events)
    closing = asyncio.create_task(stack.aclose())
    done, _ = await asyncio.wait({closing}, timeout=1)
    assert not done
    await events.aclose()
    await closing

    assert fetch(database_url, ANSWERS) == [("Half an", "cancelled")]


async def test_an_answer_that_cannot_be_stored_ends_with_an_error_event(
    upstream_api: httpx2.AsyncClient, database_url: str
) -> None:
    execute(database_url, "ALTER TABLE message ADD CHECK (role = 'user')")

    *messages, error = await read_events(upstream_api, "/v1/completion-stream", "Hi")

    assert {event.name for event in messages} == {"message"}
    assert error.name == "error"
    assert error.data["message"] == "Post processing failed"


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
