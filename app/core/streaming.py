"""Server-sent events: encoding them, and a response that ends when its reader is gone."""

import asyncio
import functools
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractContextManager, aclosing, nullcontext
from typing import Any, TypeVar

import anyio
from fastapi import Request
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.core.exceptions import AppError, ReaderLeft, ServerStopping
from app.core.handlers import error_response
from app.core.metrics import STREAMS

__all__ = ["EventStream", "encoded_error", "event", "while_reader_waits"]

logger = logging.getLogger(__name__)

CLOSING_SEC = 10
# What a reader may lag behind before the language model is read no further.
BUFFERED_EVENTS = 64
END = b""
T = TypeVar("T")


def event(name: str, data: BaseModel, *, event_id: str | None = None) -> bytes:
    """Encode one event; a reader that connects again names the last `event_id` it has seen."""
    return format_sse_event(event=name, data_str=data.model_dump_json(), id=event_id)


def encoded_error(error: AppError) -> bytes:
    """Encode the `error` event that ends a stream."""
    return event("error", error_response(error).error)


async def while_reader_waits(request: Request, opening: Coroutine[Any, Any, T]) -> T:
    """Await what opens a stream; cancel it when the reader leaves before there is a response.

    Raises:
        ReaderLeft: the reader has left.
    """
    work = asyncio.create_task(opening)
    leaving = asyncio.create_task(_reader_leaves(request))
    try:
        await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ReaderLeft
        return work.result()
    finally:
        work.cancel()
        leaving.cancel()
        await asyncio.wait({work, leaving})


async def _reader_leaves(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class EventStream(StreamingResponse):
    """Sends encoded events as they come, and keep-alive comments while none comes.

    When the reader leaves, `events` is closed at once, so that whatever it holds (an
    upstream call) ends too. A reader that stays but stops reading is cut off after
    `limit_sec`. When the server stops, the stream ends with an `error` event, as `encode_error`
    makes it; so it does as soon as what `watch` yields has a result, which is the error.
    """

    def __init__(
        self,
        events: AsyncGenerator[bytes],
        # FastAPI reads the documented status from this default.
        status_code: int = 200,
        *,
        keepalive_sec: float,
        limit_sec: float,
        watch: AbstractContextManager[asyncio.Future[AppError]] | None = None,
        encode_error: Callable[[AppError], bytes] = encoded_error,
    ) -> None:
        self._events = events
        self._encode_error = encode_error
        self._watch = watch or nullcontext()
        self._until: asyncio.Future[AppError] | None = None
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(BUFFERED_EVENTS)
        self._keepalive_sec = keepalive_sec
        self._limit_sec = limit_sec
        # nginx and its kin buffer responses unless told not to.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        self._generator = self._body()
        self._begun = False
        # Were it the class's, FastAPI would document that errors are of this type, too.
        super().__init__(self._generator, status_code, headers, "text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, then make sure that their source has ended."""
        with STREAMS.track_inprogress(), self._watch as self._until:
            await self._respond(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        stopping = False
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            # Only a server that stops cancels a response, and only a begun one can go on.
            stopping = self._begun
            if not stopping:
                raise
        finally:
            # A generator that is abandoned at a `yield` ends when it is collected; that's too late.
            with anyio.move_on_after(CLOSING_SEC, shield=True):
                await self._generator.aclose()
                # The one above has closed it, unless the reader left before it began.
                await self._events.aclose()
                if stopping:
                    last = self._encode_error(ServerStopping())
                    await send({"type": "http.response.body", "body": last})

    async def stream_response(self, send: Send) -> None:
        """Send the events within the time limit."""
        try:
            async with asyncio.timeout(self._limit_sec):
                await super().stream_response(send)
        except TimeoutError:
            logger.warning("stream cut off: its reader stopped reading")

    async def _body(self) -> AsyncGenerator[bytes]:
        self._begun = True
        # The events come through a task of their own: waiting for the next one can then be
        # interrupted by the keep-alive without cancelling whatever produces it.
        pump = asyncio.create_task(self._pump())
        if self._until is not None:
            self._until.add_done_callback(functools.partial(self._break_off, pump))
        try:
            while True:
                try:
                    async with asyncio.timeout(self._keepalive_sec):
                        items = [await self._queue.get()]
                except TimeoutError:
                    yield KEEPALIVE_COMMENT
                    continue
                # Whatever else is there goes into the same packet.
                while not self._queue.empty():
                    items.append(self._queue.get_nowait())
                yield b"".join(items)
                if items[-1] == END:
                    break
        finally:
            # Once only: it would be kept from closing what it has begun to close.
            if not pump.cancelling():
                pump.cancel()
            # Nobody reads any more: it must not wait for room, should closing its source fail.
            self._empty()
            with anyio.CancelScope(shield=True):
                await asyncio.wait({pump})

    def _empty(self) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()

    def _break_off(self, pump: asyncio.Task[None], until: asyncio.Future[AppError]) -> None:
        """End the stream with an error, in place of whatever has not been sent yet."""
        if pump.done() or pump.cancelling() or until.cancelled():
            return
        pump.cancel()
        self._empty()
        self._queue.put_nowait(self._encode_error(until.result()))
        self._queue.put_nowait(END)

    async def _pump(self) -> None:
        try:
            async with aclosing(self._events):
                is_first = True
                async for item in self._events:
                    await self._queue.put(item)
                    if is_first:
                        # It is sent at once, whatever else has come with it.
                        await asyncio.sleep(0)
                        is_first = False
        except Exception:
            logger.exception("a stream broke off")
        await self._queue.put(END)
