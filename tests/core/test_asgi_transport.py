import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest

from app.core.asgi_transport import ASGIApp, Message, Receive, Send, StreamingASGITransport

URL = "http://app/path%20with%20spaces?q=1"


@pytest.fixture(autouse=True)
async def no_task_is_left_behind() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - before - {asyncio.current_task()} == set()


def client_of(app: ASGIApp, **options: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=StreamingASGITransport(app), **options)


async def start(send: Send, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-name", b"v")]})


async def body(send: Send, chunk: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": more})


ENDED = ["http.disconnect", "OSError"]


class Endless:
    """An app that streams for ever, and tells what it has sent and how it ended."""

    def __init__(self) -> None:
        self.sent = 0
        self.ended: list[str] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            await start(send)
            while True:
                await body(send, b"chunk")
                self.sent += 1
        except asyncio.CancelledError:
            while (message := await receive())["type"] == "http.request":
                pass
            self.ended.append(message["type"])
            try:
                await body(send, b"too late")
            except OSError:
                self.ended.append("OSError")
            raise


async def test_an_app_sees_the_request_as_a_server_would_hand_it_over() -> None:
    seen: Message = {}

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        seen.update(scope)
        await start(send, 201)
        await body(send, b"", more=False)

    async with client_of(app) as client:
        response = await client.put(URL, headers={"X-Mixed": "Case"})

    assert (response.status_code, response.headers["x-name"]) == (201, "v")
    assert seen["method"] == "PUT"
    assert seen["path"] == "/path with spaces"
    assert seen["raw_path"] == b"/path%20with%20spaces"
    assert seen["query_string"] == b"q=1"
    assert (b"x-mixed", b"Case") in seen["headers"]


async def test_a_request_body_is_streamed_to_the_app() -> None:
    received: list[tuple[bytes, bool]] = []

    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        while not received or received[-1][1]:
            message = await receive()
            received.append((message["body"], message["more_body"]))
        await start(send)
        await body(send, b"thanks", more=False)

    async with client_of(app) as client:
        response = await client.post(URL, content=chunks())

    assert response.content == b"thanks"
    assert received == [(b"one", True), (b"two", True), (b"", False)]


async def test_each_chunk_arrives_before_the_app_makes_the_next() -> None:
    go_on = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, b"first")
        await go_on.wait()
        await body(send, b"second", more=False)

    async with client_of(app) as client, client.stream("GET", URL) as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"first"
        go_on.set()
        assert [chunk async for chunk in chunks] == [b"second"]


async def test_the_app_waits_for_a_slow_reader() -> None:
    app = Endless()
    async with client_of(app) as client, client.stream("GET", URL) as response:
        chunks = response.aiter_raw()
        for _ in range(3):
            await anext(chunks)
        for _ in range(20):
            await asyncio.sleep(0)
        assert app.sent == 3


async def test_closing_a_response_early_cancels_the_app_and_waits_for_its_end() -> None:
    app = Endless()
    async with client_of(app) as client:
        async with client.stream("GET", URL) as response:
            await anext(response.aiter_raw())
            assert app.ended == []
        assert app.ended == ENDED


async def test_a_cancelled_reader_leaves_no_app_running() -> None:
    app = Endless()
    reading = asyncio.Event()

    async def read(client: httpx2.AsyncClient) -> None:
        async with client.stream("GET", URL) as response:
            async for _ in response.aiter_raw():
                reading.set()

    async with client_of(app) as client:
        task = asyncio.create_task(read(client))
        await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert app.ended == ENDED


async def test_a_caller_cancelled_before_the_answer_leaves_no_app_running() -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with client_of(app) as client:
        task = asyncio.create_task(client.get(URL))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()


async def test_a_response_that_nobody_closed_ends_with_the_client() -> None:
    app = Endless()
    async with client_of(app) as client:
        await client.send(client.build_request("GET", URL), stream=True)
    assert app.ended == ENDED


async def test_a_finished_answer_lets_the_app_end_in_its_own_time() -> None:
    ended: list[str] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, b"all", more=False)
        while (message := await receive())["type"] == "http.request":
            pass
        ended.append(message["type"])

    async with client_of(app) as client:
        assert (await client.get(URL)).content == b"all"
        assert ended == ["http.disconnect"]


async def test_an_app_that_fails_before_its_answer_is_a_connection_error_for_openai() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise ValueError("broken")

    async with openai.AsyncOpenAI(
        api_key="x", base_url="http://app/v1", max_retries=0, http_client=client_of(app)
    ) as client:
        with pytest.raises(openai.APIConnectionError) as caught:
            await client.models.list()

    assert isinstance(caught.value.__cause__, httpx2.RemoteProtocolError)
    assert isinstance(caught.value.__cause__.__cause__, ValueError)


async def test_an_app_that_ends_without_an_answer_is_an_error() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        return

    async with client_of(app) as client:
        with pytest.raises(httpx2.RemoteProtocolError, match="failed to answer"):
            await client.get(URL)


async def test_an_app_that_fails_within_its_answer_is_a_broken_body() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, b"first")
        raise ValueError("broken")

    async with client_of(app) as client, client.stream("GET", URL) as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"first"
        with pytest.raises(httpx2.RemoteProtocolError) as caught:
            await anext(chunks)

    assert isinstance(caught.value.__cause__, ValueError)


async def test_a_failure_after_the_answer_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await start(send, 500)
        await body(send, b"sorry", more=False)
        raise ValueError("broken")

    async with client_of(app) as client:
        response = await client.get(URL)

    assert (response.status_code, response.content) == (500, b"sorry")
    assert [record.message for record in caplog.records if record.exc_info] == [
        "The app failed after its answer."
    ]


@pytest.mark.parametrize("answers_first", [False, True])
async def test_an_app_slower_than_the_read_timeout_is_cancelled(answers_first: bool) -> None:
    cancelled = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if answers_first:
            await start(send)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    timeout = httpx2.Timeout(None, read=0.01)
    async with client_of(app, timeout=timeout) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.get(URL)
        assert cancelled.is_set()


async def test_the_answer_to_head_has_no_body() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await start(send)
        await body(send, b"dropped", more=False)

    async with client_of(app) as client:
        assert (await client.head(URL)).content == b""
