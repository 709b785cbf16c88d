"""Streams that are relayed: whole events, however the bytes arrive."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from app.compat.openai.relay import MAX_EVENT_BYTES, RelayedStream
from app.core.exceptions import UpstreamFailed
from app.core.llm import Usage
from tests.upstream import chunk, sse, usage

EVENTS = [sse(chunk("One\n\n")), sse(chunk("✓")), sse(chunk(None, finish_reason="stop"))]
DONE = "data: [DONE]\n\n"


class Pieces(httpx2.AsyncByteStream):
    """Bytes as they arrive."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def relayed(text: str, *, size: int = 0, keep_usage: bool = True) -> RelayedStream:
    """A stream of a text, in pieces of so many bytes."""
    sent = text.encode()
    pieces = [sent[i : i + size] for i in range(0, len(sent), size)] if size else [sent]
    response = httpx2.Response(200, stream=Pieces(*pieces))
    deadline = asyncio.get_running_loop().time() + 10
    return RelayedStream(response, deadline, keep_usage=keep_usage)


@pytest.mark.parametrize("size", [0, 1, 7, 64])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
async def test_events_come_whole(size: int, line_end: str) -> None:
    text = "".join([*EVENTS, ": a comment\n\n", sse(usage()), DONE]).replace("\n", line_end)
    stream = relayed(text, size=size)

    parts = [part async for part in stream]

    assert b"".join(parts) == text.encode()
    assert all(part.endswith((line_end * 2).encode()) for part in parts)
    assert stream.usage == Usage(11, 7)


@pytest.mark.parametrize("size", [0, 1])
async def test_usage_that_nobody_asked_for_is_left_out(size: int) -> None:
    stream = relayed("".join([*EVENTS, sse(usage()), DONE]), size=size, keep_usage=False)

    assert b"".join([part async for part in stream]).decode() == "".join([*EVENTS, DONE])
    assert stream.usage == Usage(11, 7)


async def test_what_looks_like_usage_or_an_error_in_a_text_is_text() -> None:
    quoting = sse(chunk('{"usage": {"a": 1}, "error": "x", "finish_reason": "y"} [DONE]'))
    text = "".join([quoting, *EVENTS, DONE])

    assert b"".join([part async for part in relayed(text, keep_usage=False)]).decode() == text


async def test_an_end_without_its_empty_line_or_without_done_is_an_end() -> None:
    assert [part async for part in relayed("".join(EVENTS))]
    parts = [part async for part in relayed("".join([*EVENTS, "data: [DONE]"]))]
    assert parts[-1] == b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a chat completion"),
        (EVENTS[0], "closed the connection"),
        (f"{EVENTS[0]}data: {{", "closed the connection"),
        (sse({"error": {"message": "secret"}}), "broke off its answer with an error"),
        ('data: [1, "usage": {}]\n\n', "not a chat completion"),
        ('data: {"choices": 7, "usage": {}}\n\n', "not a chat completion"),
        ("data: " + "x" * (MAX_EVENT_BYTES + 1), "not a chat completion"),
    ],
)
async def test_what_is_no_answer_fails(text: str, reason: str) -> None:
    with pytest.raises(UpstreamFailed) as raised:
        async for _ in relayed(text):
            pass

    assert reason in raised.value.details["reason"]
