"""Streams for pages: the events of an answer, and with them what it looks like so far."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final

from anyio import to_thread
from pydantic import BaseModel, Field

from app.chat.markdown import to_blocks
from app.core.streaming import event

__all__ = ["Html", "with_html"]

# Between two of them: often enough to read along, seldom enough to draw in time.
EVERY_SEC: Final = 0.1
# Of its time, what drawing a long answer again and again may take.
SHARE: Final = 0.1


class Html(BaseModel):
    """The data of an `html` event: the answer's blocks from one on, as they are now."""

    first: int = Field(description="Which block the first of these is, counted from 0.")
    blocks: list[str] = Field(
        description="Paragraphs, lists, tables...: safe HTML. They replace all from `first` on."
    )


async def with_html(events: AsyncGenerator[bytes], *, after: int = 0) -> AsyncGenerator[bytes]:
    """Yield the events behind a number, and an `html` event whenever there is more to see.

    `events` must begin with the first one: what an answer looks like depends on all of it. An
    `html` event has no number of its own; whoever comes back gets one with all blocks.
    """
    drawing = _Drawing()
    coming: asyncio.Task[bytes] | None = None
    async with aclosing(events):
        try:
            while True:
                coming = coming or asyncio.create_task(_next(events))
                await asyncio.wait({coming}, timeout=drawing.due_in)
                one: bytes | None = None
                if coming.done():
                    one, coming = coming.result(), None
                    drawing.take(one)
                if drawing.is_due:
                    yield await drawing.draw()
                if one is None:
                    continue
                if not one:
                    break
                if _number(one) > after:
                    yield one
        finally:
            # First: what is being waited for can't be closed.
            if coming is not None:
                coming.cancel()
                await asyncio.wait({coming})


async def _next(events: AsyncGenerator[bytes]) -> bytes:
    """Return the next event; nothing at the end."""
    return await anext(events, b"")


class _Drawing:
    """An answer so far, and what its reader has seen of it."""

    def __init__(self) -> None:
        self._text = ""
        self._seen: Sequence[str] = ()
        self._has_news = False
        self._at = 0.0

    @property
    def due_in(self) -> float | None:
        """Seconds until it is to be drawn again; None when there is nothing new."""
        if not self._has_news:
            return None
        return max(0.0, self._at - asyncio.get_running_loop().time())

    @property
    def is_due(self) -> bool:
        """Whether it is to be drawn now."""
        return self.due_in == 0

    def take(self, one: bytes) -> None:
        """Note what an event says."""
        name, data = _fields(one)
        if name == "message":
            self._text += data["content"]
            self._has_news = True
        elif self._has_news:
            # Whatever follows is about the whole text.
            self._at = 0.0

    async def draw(self) -> bytes:
        """Return the event that shows what is new."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        blocks = await to_thread.run_sync(to_blocks, self._text)
        now = loop.time()
        self._at = now + max(EVERY_SEC, (now - began) / SHARE)
        self._has_news = False
        first = 0
        while first < min(len(blocks), len(self._seen)) and blocks[first] == self._seen[first]:
            first += 1
        self._seen = blocks
        return event("html", Html(first=first, blocks=blocks[first:]))


def _fields(one: bytes) -> tuple[str, Any]:
    name, data = "", "null"
    for line in one.decode().splitlines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            data = value
    return name, json.loads(data) if name == "message" else None


def _number(one: bytes) -> float:
    """The number of an event; those without one are always behind."""
    for line in one.split(b"\n"):
        if line.startswith(b"id: "):
            return int(line[4:])
    return float("inf")
