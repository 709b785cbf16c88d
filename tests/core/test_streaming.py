"""A stream that is broken off: what its reader gets, and what becomes of its source."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import nullcontext

import pytest
from starlette.types import Message

from app.core.exceptions import AppError, NotFound
from app.core.streaming import BUFFERED_EVENTS, EventStream
from tests.support import parse_events

MORE = b"event: more\ndata: {}\n\n"


class Source:
    """Yields so many events, then waits; closing it takes a moment."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.yielded = 0
        self.is_closed = False

    async def events(self) -> AsyncGenerator[bytes]:
        """The events."""
        try:
            while self.yielded < self.number:
                self.yielded += 1
                yield MORE
            await asyncio.Event().wait()
        finally:
            for _ in range(100):
                await asyncio.sleep(0)
            self.is_closed = True


class Reader:
    """Receives a response; it may stop reading after a message."""

    def __init__(self, *, stops_after: int | None = None) -> None:
        self.received: list[bytes] = []
        self.reads = asyncio.Event()
        self._stops_after = stops_after

    async def send(self, message: Message) -> None:
        """Take a message from the server."""
        self.received.append(message.get("body", b""))
        if len(self.received) == self._stops_after:
            await self.reads.wait()

    async def receive(self) -> Message:
        """Stay."""
        await asyncio.Event().wait()
        raise AssertionError


def a_stream(source: Source, until: "asyncio.Future[AppError]") -> EventStream:
    return EventStream(source.events(), keepalive_sec=60, limit_sec=60, watch=nullcontext(until))


async def open_stream(stream: EventStream, reader: Reader) -> None:
    async with asyncio.timeout(10):
        # As of a server that tells a reader who leaves by a message.
        scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
        await stream(scope, reader.receive, reader.send)


@pytest.mark.parametrize("number", [0, 3])
async def test_a_stream_that_is_broken_off_ends_with_the_error_and_closes_its_source(
    number: int,
) -> None:
    source, reader = Source(number), Reader()
    until: asyncio.Future[AppError] = asyncio.get_running_loop().create_future()

    response = asyncio.create_task(open_stream(a_stream(source, until), reader))
    # One for the status.
    while b"".join(reader.received) != MORE * number or not reader.received:
        await asyncio.sleep(0)
    until.set_result(NotFound())
    await response

    *events, error = parse_events(b"".join(reader.received).decode())
    assert [event.name for event in events] == ["more"] * number
    assert (error.name, error.data["code"]) == ("error", "not_found")
    assert source.is_closed


async def test_the_first_event_of_a_burst_is_sent_by_itself() -> None:
    """Its reader need not wait until all that has come with it is read."""
    source, reader = Source(3), Reader()
    until: asyncio.Future[AppError] = asyncio.get_running_loop().create_future()

    response = asyncio.create_task(open_stream(a_stream(source, until), reader))
    while source.yielded < 3 or b"".join(reader.received) != MORE * 3:
        await asyncio.sleep(0)
    until.set_result(NotFound())
    await response

    assert reader.received[1:3] == [MORE, MORE * 2]


async def test_it_is_broken_off_even_before_it_has_begun() -> None:
    source, reader = Source(3), Reader()
    until: asyncio.Future[AppError] = asyncio.get_running_loop().create_future()
    until.set_result(NotFound())

    await open_stream(a_stream(source, until), reader)

    assert parse_events(b"".join(reader.received).decode())[-1].data["code"] == "not_found"


async def test_the_source_is_closed_at_once_where_the_reader_has_stopped_reading() -> None:
    # As many as are kept for it, and some.
    source, reader = Source(3 * BUFFERED_EVENTS), Reader(stops_after=2)
    until: asyncio.Future[AppError] = asyncio.get_running_loop().create_future()

    response = asyncio.create_task(open_stream(a_stream(source, until), reader))
    while len(reader.received) < 2 or source.yielded <= BUFFERED_EVENTS:
        await asyncio.sleep(0)
    sent = len(parse_events(reader.received[1].decode()))
    until.set_result(NotFound())
    async with asyncio.timeout(10):
        while not source.is_closed:
            await asyncio.sleep(0)
    reader.reads.set()
    await response

    # What had been kept for it is not sent any more.
    events = parse_events(b"".join(reader.received).decode())
    assert len(events) == sent + 1
    assert events[-1].data["code"] == "not_found"


async def test_a_source_that_cannot_be_closed_holds_nobody_up() -> None:
    yielded = 0

    async def events() -> AsyncGenerator[bytes]:
        nonlocal yielded
        try:
            while True:
                yielded += 1
                yield MORE
        finally:
            raise RuntimeError

    stream = EventStream(events(), keepalive_sec=60, limit_sec=60)
    response = asyncio.create_task(open_stream(stream, Reader(stops_after=2)))
    # One is on its way to the reader, the next one has no room.
    while yielded <= BUFFERED_EVENTS + 1:
        await asyncio.sleep(0)
    response.cancel()

    done, _ = await asyncio.wait({response}, timeout=5)

    assert done


async def test_a_stream_that_has_ended_by_itself_is_left_alone() -> None:
    async def two() -> AsyncGenerator[bytes]:
        yield MORE
        yield MORE

    reader = Reader()
    until: asyncio.Future[AppError] = asyncio.get_running_loop().create_future()
    stream = EventStream(two(), keepalive_sec=60, limit_sec=60, watch=nullcontext(until))

    await open_stream(stream, reader)
    until.set_result(NotFound())
    await asyncio.sleep(0)

    assert b"".join(reader.received) == MORE * 2
