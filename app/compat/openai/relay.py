"""Requests to the language model's server as they are, and its answers as they come.

The OpenAI client would parse and build anew each piece of a stream; here only those are looked at
that say something about the call itself.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx2
from async_timeout import timeout_at

from app.core.exceptions import UpstreamFailed, UpstreamTimedOut
from app.core.llm import (
    CUT_OFF,
    NOT_A_COMPLETION,
    UNREACHABLE,
    Usage,
    failed,
    read_usage,
    refused,
)

__all__ = ["Relay", "RelayedStream", "Upstream"]

logger = logging.getLogger(__name__)

REPORTED: Final = "The language model's server broke off its answer with an error."
# Nobody's answer is longer, and somebody has to hold it.
MAX_ANSWER_BYTES: Final = 32_000_000
MAX_EVENT_BYTES: Final = 8_000_000
MAX_ERROR_BYTES: Final = 100_000
# Names such as `messages[0].content` or `context_length_exceeded`; sentences may quote secrets.
NAME: Final = re.compile(r"[\w.\[\]-]{1,100}", re.ASCII)

_DATA = re.compile(rb"^data: ?(.*?)\r?$", re.MULTILINE)
# A quotation mark inside of a text would have a backslash before it.
_TELLING = re.compile(rb'"usage"\s*:\s*\{|"error"\s*:\s*[^\sn]|"finish_reason"\s*:\s*"|\[DONE\]')


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the language model's server is, and what it is sent with every request."""

    http: httpx2.AsyncClient
    url: str
    headers: Mapping[str, str]


class Relay:
    """Passes chat completions through within a time limit, with every failure an `AppError`."""

    def __init__(self, upstream: Upstream, *, timeout_sec: float) -> None:
        self._http = upstream.http
        self._url = httpx2.URL(upstream.url)
        self._headers = httpx2.Headers(upstream.headers)
        self._timeout_sec = timeout_sec

    async def complete(self, body: bytes) -> tuple[bytes, Usage]:
        """Return the whole answer as it came, and what it has used.

        Raises:
            UpstreamFailed: the upstream can't be reached, refused, or sent no answer.
            UpstreamTimedOut: there was no whole answer in time.
        """
        deadline = self._deadline()
        response = await self._send(body, deadline)
        try:
            with _translated_errors(started=False):
                async with timeout_at(deadline):
                    answer = await _read(response, MAX_ANSWER_BYTES)
            return answer, _usage_of_answer(answer)
        finally:
            await response.aclose()

    async def stream(self, body: bytes, *, keep_usage: bool) -> "RelayedStream":
        """Open a streamed answer; what fails before its first byte fails here.

        Raises:
            UpstreamFailed: the upstream can't be reached, refused, or does not stream.
            UpstreamTimedOut: the upstream did not begin in time.
        """
        deadline = self._deadline()
        response = await self._send(body, deadline)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            await response.aclose()
            raise failed(NOT_A_COMPLETION)
        return RelayedStream(response, deadline, keep_usage=keep_usage)

    async def _send(self, body: bytes, deadline: float) -> httpx2.Response:
        # Building it by the client would merge headers with the client's own, each time.
        request = httpx2.Request(
            "POST",
            self._url,
            headers=self._headers,
            content=body,
            extensions={"timeout": self._http.timeout.as_dict()},
        )
        with _translated_errors(started=False):
            async with timeout_at(deadline):
                response = await self._http.send(request, stream=True)
                if response.is_success:
                    return response
                try:
                    error = await _refusal(response)
                finally:
                    await response.aclose()
        raise error

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout_sec


class RelayedStream:
    """A streamed answer: iterate over it once, then close it.

    `usage` is what the upstream said so far, `pieces` how many events came. Without `keep_usage`,
    the event that tells nothing but the usage is left out: its reader has not asked for it.
    """

    def __init__(self, response: httpx2.Response, deadline: float, *, keep_usage: bool) -> None:
        self._response = response
        self._deadline = deadline
        self._keep_usage = keep_usage
        self._is_finished = False
        self.usage = Usage()
        self.pieces = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield whole events, as many as there are at a time.

        Raises:
            UpstreamFailed: the upstream broke off or sent something else.
            UpstreamTimedOut: the answer was not complete in time.
        """
        chunks = aiter(self._response.aiter_bytes())
        held = b""
        while True:
            with _translated_errors(started=True):
                # Around each wait and not around the loop, as in `AnswerStream`.
                async with timeout_at(self._deadline):
                    chunk = await anext(chunks, None)
            if chunk is None:
                break
            held += chunk
            end = max(held.rfind(b"\n\n") + 2, held.rfind(b"\r\n\r\n") + 4)
            if end > 3:  # noqa: PLR2004 -- what not finding either comes to
                events, held = held[:end], held[end:]
                if relayed := self._look(events):
                    yield relayed
            if len(held) > MAX_EVENT_BYTES:
                raise failed(NOT_A_COMPLETION)
        # Some servers leave out the last empty line.
        if held.strip() and (relayed := self._look(held + b"\n\n")):
            yield relayed
        if not self._is_finished:
            raise failed(CUT_OFF if self.pieces else NOT_A_COMPLETION)

    async def close(self) -> None:
        """End the upstream call, wherever it is."""
        await self._response.aclose()

    def _look(self, events: bytes) -> bytes:
        """Return what is to be relayed of some events; nearly always they say nothing of note."""
        self.pieces += events.count(b"data:")
        if not _TELLING.search(events):
            return events
        split = re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", events)
        return b"".join(event for event in split if not self._is_left_out(event))

    def _is_left_out(self, event: bytes) -> bool:
        data = b"\n".join(_DATA.findall(event)).strip()
        if data == b"[DONE]":
            self._is_finished = True
            return False
        if not data or not _TELLING.search(event):
            return False
        with _translated_errors(started=True):
            piece = json.loads(data)
            if not isinstance(piece, dict):
                raise TypeError("no object")
        if piece.get("error"):
            raise failed(REPORTED)
        if isinstance(usage := piece.get("usage"), dict):
            self.usage = read_usage(usage.get("prompt_tokens"), usage.get("completion_tokens"))
        if choices := piece.get("choices"):
            with _translated_errors(started=True):
                ended = any(choice.get("finish_reason") for choice in choices)
            self._is_finished = self._is_finished or ended
            return False
        return not self._keep_usage and isinstance(usage, dict)


async def _read(response: httpx2.Response, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > limit:
            raise failed(NOT_A_COMPLETION)
    return bytes(body)


async def _refusal(response: httpx2.Response) -> UpstreamFailed:
    """Return the error of a response; of the upstream's own words, names alone."""
    try:
        body = json.loads(await _read(response, MAX_ERROR_BYTES))
        error = body["error"]
        named = {"param": error.get("param"), "upstream_code": error.get("code")}
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, UpstreamFailed):
        named = {}
    retry_after = response.headers.get("retry-after", "")
    refusal = refused(response.status_code, named.get("upstream_code"), retry_after)
    refusal.details |= {
        key: name for key, name in named.items() if isinstance(name, str) and NAME.fullmatch(name)
    }
    return refusal


def _usage_of_answer(answer: bytes) -> Usage:
    with _translated_errors(started=False):
        body: Any = json.loads(answer)
        if not isinstance(body["choices"], list):
            raise TypeError("no list")
        usage = body.get("usage") or {}
        return read_usage(usage.get("prompt_tokens"), usage.get("completion_tokens"))


@contextmanager
def _translated_errors(*, started: bool) -> Iterator[None]:
    try:
        yield
    except (TimeoutError, httpx2.TimeoutException) as error:
        logger.warning("language model timed out")
        raise UpstreamTimedOut from error
    except httpx2.HTTPError as error:
        raise failed(CUT_OFF if started else UNREACHABLE, error) from error
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        # From reading what the upstream sent: broken JSON, or fields of other types.
        raise failed(NOT_A_COMPLETION, error) from error
