"""Server-sent events, as they arrive."""

import json
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from app.cli.errors import RequestFailed

__all__ = ["Event", "read_events"]

# One event holds all passages of an answer.
MAX_LINE_BYTES: Final = 64_000_000


@dataclass(frozen=True, slots=True)
class Event:
    """One event."""

    name: str
    data: Any
    id: int | None


async def read_events(chunks: AsyncIterable[bytes]) -> AsyncIterator[Event]:
    """Yield the complete events of a response; what is cut off is left out.

    Raises:
        RequestFailed: it is something else.
    """
    fields: dict[str, str] = {}
    async for line in _lines(chunks):
        if line:
            name, _, value = line.partition(":")
            # A comment has no name.
            if name:
                value = value.removeprefix(" ")
                fields[name] = f"{fields[name]}\n{value}" if name == "data" in fields else value
        elif fields:
            yield _event(fields)
            fields = {}


async def _lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[str]:
    # Not httpx2's lines: those end at U+2028 as well, which JSON may hold.
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise _strange()
        for line in lines:
            yield line.removesuffix(b"\r").decode(errors="replace")


def _event(fields: dict[str, str]) -> Event:
    number = fields.get("id", "")
    try:
        data = json.loads(fields.get("data", "null"))
    except ValueError:
        raise _strange() from None
    return Event(fields.get("event", "message"), data, int(number) if number.isdecimal() else None)


def _strange() -> RequestFailed:
    return RequestFailed("bad_answer", "What was sent is no stream of bRAG's. Check --url.")
