"""Slow, greedy and broken clients, as they look to a socket."""

import asyncio
import json
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx2
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from app.core.guarded_protocol import GuardedProtocol, Limits
from app.core.open_files import allow_connections, max_connections
from tests.serving import serve

HEAD = "POST /echo HTTP/1.1\r\nHost: brag\r\n"


class Fast(GuardedProtocol):
    """The same limits, in less time."""

    limits = Limits(
        head_bytes=4_000,
        headers=20,
        head_sec=0.6,
        body_pause_sec=0.6,
        body_bytes_per_sec=1_000,
        linger_sec=0.4,
        reading_sec=0.6,
        connections=5,
    )


class Server(NamedTuple):
    """A server of few routes, and what its handlers went through."""

    url: str
    port: int
    seen: list[str]


class Answer(NamedTuple):
    """All that came until the server closed the connection, and when it did."""

    status: int
    headers: dict[str, str]
    body: str
    seconds: float


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """One with the limits above."""
    app, seen = FastAPI(), []

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        try:
            body = await request.body()
        except Exception as error:
            seen.append(type(error).__name__)
            raise
        seen.append(f"{len(body)} bytes")
        return PlainTextResponse(body[:100])

    @app.post("/early")
    async def early() -> Response:
        return PlainTextResponse("no", 403)

    @app.post("/late")
    async def late(request: Request) -> Response:
        await asyncio.sleep(1.5)
        return PlainTextResponse(str(len(await request.body())))

    @app.get("/large")
    async def large() -> Response:
        return Response(b"x" * 20_000_000)

    @app.get("/slow")
    async def slow() -> Response:
        async def pieces() -> AsyncIterator[str]:
            for _ in range(4):
                yield "piece "
                await asyncio.sleep(0.4)

        return StreamingResponse(pieces())

    async with serve(app, http=Fast) as url:
        yield Server(url, int(url.rpartition(":")[2]), seen)


@asynccontextmanager
async def connect(
    server: Server, **options: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection; whatever happens takes less than ten seconds."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, **options)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def send(server: Server, *pieces: str | bytes, pause: float = 0.1) -> Answer:
    """Send these pieces one after the other; return what comes of it."""
    started = time.monotonic()
    async with connect(server) as (reader, writer):

        async def write() -> None:
            for piece in pieces:
                writer.write(piece.encode() if isinstance(piece, str) else piece)
                await writer.drain()
                await asyncio.sleep(pause)

        writing = asyncio.create_task(write())
        data = await reader.read()
        writing.cancel()
        await asyncio.wait({writing})
    head, _, body = data.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    status = int(first.split()[1]) if first else 0
    return Answer(status, headers, body, time.monotonic() - started)


@pytest.mark.parametrize(
    "request_text",
    [
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon here\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "GET /ä HTTP/1.1\r\n\r\n",
        "CONNECT brag:80 HTTP/1.1\r\n\r\n",
        f"{HEAD}Content-Length: x\r\n\r\n",
        f"{HEAD}Content-Length: -1\r\n\r\n",
        # Two lengths, of which a proxy may believe the other one.
        f"{HEAD}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        f"{HEAD}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        f"{HEAD}Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        # What follows such headers would be parsed as another request.
        f"{HEAD}Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
async def test_what_is_not_http_is_refused_in_plain_words(
    server: Server, request_text: str
) -> None:
    answer = await send(server, request_text)

    assert answer.status == 400
    error = json.loads(answer.body)
    assert error["detail"] == error["error"]["message"]
    assert error["error"]["code"] in ("malformed_request", "upgrade_with_body")
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "Traceback" not in answer.body


async def test_headers_that_never_end_are_given_up(server: Server) -> None:
    answer = await send(server, "GET /echo HTTP/1.1\r\n", *("X-A: b\r\n" for _ in range(90)))

    assert answer.status == 408
    assert json.loads(answer.body)["error"]["code"] == "request_timeout"
    assert 0.5 < answer.seconds < 5


async def test_a_connection_that_says_nothing_is_closed(server: Server) -> None:
    answer = await send(server)

    assert answer.status == 0
    assert 0.5 < answer.seconds < 5


async def test_empty_lines_keep_no_connection_open(server: Server) -> None:
    request = "POST /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"

    answer = await send(server, request, *("\r\n" for _ in range(90)))

    assert answer.status == 200
    assert answer.seconds < 5


@pytest.mark.parametrize(
    "head",
    [
        "GET /" + "a" * 5_000 + " HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nCookie: " + "a" * 5_000 + "\r\n\r\n",
        "GET / HTTP/1.1\r\n" + "A: b\r\n" * 21 + "\r\n",
        # Without an end, and more than is kept.
        "GET / HTTP/1.1\r\nCookie: " + "a" * 300_000,
    ],
)
async def test_more_headers_than_anybody_needs_are_refused(server: Server, head: str) -> None:
    answer = await send(server, head[:1_000], head[1_000:])

    assert answer.status == 431
    assert "4000 bytes" in json.loads(answer.body)["detail"]


async def test_a_body_that_stops_coming_is_given_up(server: Server) -> None:
    answer = await send(server, f"{HEAD}Content-Length: 1000\r\n\r\n", "begun")

    assert answer.status == 408
    assert 0.5 < answer.seconds < 5
    assert server.seen == ["ClientDisconnect"]


async def test_a_body_that_trickles_is_given_up(server: Server) -> None:
    answer = await send(
        server, f"{HEAD}Content-Length: 1000\r\n\r\n", *("x" for _ in range(90)), pause=0.05
    )

    assert answer.status == 408
    assert answer.seconds < 5


async def test_a_body_that_comes_slowly_but_fast_enough_is_taken(server: Server) -> None:
    """For longer than a body may pause."""
    pieces = ["x" * 300] * 8

    answer = await send(
        server, f"{HEAD}Connection: close\r\nContent-Length: 2400\r\n\r\n", *pieces, pause=0.2
    )

    assert answer.status == 200
    assert answer.seconds > 1.2
    assert server.seen == ["2400 bytes"]


async def test_a_large_body_that_comes_at_once_is_taken(server: Server) -> None:
    """Many of its packets within one tick of the clock."""
    body = "x" * 8_000_000
    head = f"{HEAD}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"

    answers = [await send(server, head + body) for _ in range(5)]

    assert [answer.status for answer in answers] == [200] * 5


async def test_a_client_that_waits_for_the_server_is_waited_for(server: Server) -> None:
    """It has sent as much as is taken before the route reads it."""
    body = "x" * 3_000_000

    answer = await send(
        server,
        "POST /late HTTP/1.1\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body[:1_500_000]}",
        body[1_500_000:],
    )

    assert (answer.status, answer.body) == (200, str(len(body)))


async def test_what_follows_a_body_is_no_header_and_has_an_end(server: Server) -> None:
    chunked = f"{HEAD}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\n"

    answer = await send(server, chunked, "X-Trailer: late\r\n\r\n")
    endless = await send(server, chunked, *("X-Trailer: " + "a" * 3_000 for _ in range(5)))

    assert (answer.status, answer.body) == (200, "x")
    assert endless.status == 431


async def test_a_body_that_nobody_wants_is_not_taken_for_long(server: Server) -> None:
    pieces = ["x" * 10_000] * 90

    answer = await send(
        server, "POST /early HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n", *pieces, pause=0.05
    )

    assert (answer.status, answer.body) == (403, "no")
    assert 0.3 < answer.seconds < 4


async def test_a_connection_goes_on_after_a_body_that_nobody_wanted(server: Server) -> None:
    async with connect(server) as (reader, writer):
        writer.write(b"POST /early HTTP/1.1\r\nContent-Length: 3\r\n\r\n")
        assert b"403" in await reader.readuntil(b"no")
        writer.write(b"abc")
        await asyncio.sleep(0.5)
        writer.write(b"POST /echo HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi")
        assert b"200" in await reader.readuntil(b"hi")


async def test_an_answer_that_nobody_reads_is_given_up(server: Server) -> None:
    async with connect(server, limit=1_000) as (reader, writer):
        writer.write(b"GET /large HTTP/1.1\r\n\r\n")
        started = time.monotonic()
        # The stream reads no further than its limit.
        while time.monotonic() - started < 1.5:
            await asyncio.sleep(0.1)
        received = len(await reader.read())

    assert 0 < received < 20_000_000


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_an_answer_that_is_read_slowly_but_steadily_is_sent_whole(
    server: Server, connection: str
) -> None:
    started, received = time.monotonic(), 0
    async with connect(server, limit=1_000) as (reader, writer):
        writer.write(f"GET /large HTTP/1.1\r\nConnection: {connection}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        while received < 20_000_000 and (data := await reader.read(400_000)):
            received += len(data)
            # At some 8 MB a second.
            await asyncio.sleep(len(data) / 8_000_000)

    assert received == 20_000_000
    assert time.monotonic() - started > 3 * Fast.limits.reading_sec


async def test_a_stream_that_is_slow_itself_is_nobodys_fault(server: Server) -> None:
    async with httpx2.AsyncClient(base_url=server.url, trust_env=False) as client:
        response = await client.get("/slow")

    assert response.text == "piece " * 4


async def test_nonsense_after_a_request_does_not_get_into_its_answer(server: Server) -> None:
    answer = await send(server, "GET /slow HTTP/1.1\r\n\r\n", "nonsense\r\n\r\n", pause=0.3)

    assert answer.status == 200
    assert "malformed" not in answer.body


async def test_more_connections_than_can_be_served_are_refused(server: Server) -> None:
    async with asyncio.timeout(10):
        others = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(5)]
        answer = await send(server)
        for _, writer in others:
            writer.transport.abort()

    assert answer.status == 503
    assert json.loads(answer.body)["error"]["code"] == "too_many_connections"


async def test_a_request_for_a_websocket_is_answered_like_any_other(server: Server) -> None:
    answer = await send(
        server,
        "GET /slow HTTP/1.1\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n",
    )

    assert answer.status == 200


def test_connections_leave_files_for_other_things() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, before[1]))
        few = max_connections()
        allow_connections()
        many = max_connections()
        open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert few == 1_024 - 128
    assert open_files == min(before[1], 16_384)
    assert many == open_files - 128
