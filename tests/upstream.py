"""An OpenAI-compatible server on loopback, which answers as a test tells it to."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

__all__ = ["MODEL", "Pieces", "Upstream", "chunk", "sse", "usage"]

MODEL = "test-model"
# What the language model says next; None ends the answer.
Pieces = asyncio.Queue[str | None]
Behaviour = Callable[[dict[str, Any]], Awaitable[Response]]


class Upstream:
    """The server; set `behave` to one of its ways to answer, or to a function of your own."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.stream_ended = asyncio.Event()
        self.behave: Behaviour = self.answers("Run `make run-dev`. [1]")
        self.app = Starlette(routes=[Route("/v1/chat/completions", self._handle, methods=["POST"])])

    async def _handle(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        return await self.behave(body)

    def answers(self, *pieces: str) -> Behaviour:
        """Answer in full, or piece by piece when a stream is wanted."""

        async def behave(body: dict[str, Any]) -> Response:
            if body.get("stream"):
                lines = [sse(chunk(piece)) for piece in pieces]
                lines += [sse(chunk(None, finish_reason="stop")), sse(usage()), "data: [DONE]\n\n"]
                return self.streams(lines)
            return JSONResponse(completion("".join(pieces)))

        return behave

    def types(self, pieces: Pieces) -> Behaviour:
        """Stream the pieces of a queue as they come; None ends the answer."""

        async def behave(_: dict[str, Any]) -> Response:
            async def body() -> AsyncIterator[str]:
                try:
                    while (piece := await pieces.get()) is not None:
                        yield sse(chunk(piece))
                    yield sse(chunk(None, finish_reason="stop")) + sse(usage()) + "data: [DONE]\n\n"
                finally:
                    self.stream_ended.set()

            return StreamingResponse(body(), media_type="text/event-stream")

        return behave

    def says(self, *lines: str, then_hang: bool = False, then_break: bool = False) -> Behaviour:
        """Stream these lines as they are, then end, hang, or break the connection."""

        async def behave(_: dict[str, Any]) -> Response:
            return self.streams(lines, then_hang=then_hang, then_break=then_break)

        return behave

    def refuses(self, status: int, headers: dict[str, str] | None = None) -> Behaviour:
        """Answer with an error as OpenAI words it."""

        async def behave(_: dict[str, Any]) -> Response:
            error = {"message": "secret internals", "type": "error", "code": None, "param": None}
            return JSONResponse({"error": error}, status, headers=headers)

        return behave

    def sends(self, body: object) -> Behaviour:
        """Answer with any body, as JSON unless it is text."""

        async def behave(_: dict[str, Any]) -> Response:
            text = body if isinstance(body, str) else json.dumps(body)
            return Response(text, media_type="application/json")

        return behave

    async def hangs(self, _: dict[str, Any]) -> Response:
        """Never answer."""
        await asyncio.Event().wait()
        raise AssertionError

    def streams(
        self, lines: Sequence[str], *, then_hang: bool = False, then_break: bool = False
    ) -> Response:
        """Build a response of these lines."""

        async def body() -> AsyncIterator[str]:
            try:
                for line in lines:
                    yield line
                if then_hang:
                    await asyncio.Event().wait()
                if then_break:
                    raise ConnectionResetError
            finally:
                self.stream_ended.set()

        return StreamingResponse(body(), media_type="text/event-stream")


def sse(data: object) -> str:
    """Encode one event as OpenAI does."""
    return f"data: {json.dumps(data)}\n\n"


def chunk(content: str | None, finish_reason: str | None = None) -> dict[str, Any]:
    """Build one piece of a streamed answer."""
    delta = {} if content is None else {"role": "assistant", "content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _envelope("chat.completion.chunk") | {"choices": [choice]}


def usage() -> dict[str, Any]:
    """Build the piece that ends a streamed answer when usage is wanted."""
    return _envelope("chat.completion.chunk") | {"choices": [], "usage": USAGE}


def completion(text: str | None) -> dict[str, Any]:
    """Build a whole answer."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return _envelope("chat.completion") | {"choices": [choice], "usage": USAGE}


USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def _envelope(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1_780_000_000, "model": MODEL}
