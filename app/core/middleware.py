"""What surrounds every request: its id, its log line, its size limit, and start-up errors.

Pure ASGI: a middleware that wraps the body would buffer streams.
"""

import logging
import re
import time
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.exceptions import StartupError
from app.core.logs import request_id
from app.core.metrics import REQUEST_SECONDS, REQUESTS
from app.core.route_names import method_of, route_of
from app.core.tracing import fail, traced

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["BodyLimit", "PlainStartupErrors", "RequestContext"]

logger = logging.getLogger("app.requests")

REQUEST_ID_HEADER = b"x-request-id"
# Asked every few seconds, by machines.
UNTRACED = frozenset({"/health", "/healthcheck", "/metrics", "/readiness", "/api/v1/health"})
SERVER_ERROR = 500
ACCEPTED_REQUEST_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)


class RequestContext:
    """Gives each request an id, returns it as `X-Request-ID`, logs one line per request, counts it.

    An id that the caller sends is kept when it is short and plain. What a dependency puts into
    `request.state.response_headers` is returned too, whatever the route answers with.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        current = _request_id(scope)
        # Never reset: a request has a context of its own, and the outermost error handler
        # still needs the id after this middleware has ended.
        request_id.set(current)
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (REQUEST_ID_HEADER, current.encode()),
                    *_raw(scope.get("state", {}).get("response_headers", {})),
                ]
            await send(message)

        with _traced(scope, current) as span:
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                # The answer to an unexpected error is sent further out.
                status = status or 500
                raise
            finally:
                seconds = time.perf_counter() - started
                _count(scope, status, seconds)
                if span is not None:
                    _describe(span, scope, status)
                _log(scope, status, seconds)


class BodyLimit:
    """Refuses bodies of more than `max_bytes`, announced or not, with a 413 in our own shape.

    Below some paths another limit holds: `exceptions`, by the path's beginning. (FastAPI has such
    limits too, but answers in plain text.)
    """

    def __init__(
        self, app: ASGIApp, max_bytes: int, *, exceptions: Mapping[str, int] | None = None
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._exceptions = exceptions or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        max_bytes = self._limit_of(scope["path"])
        announced = Headers(scope=scope).get("content-length", "")
        too_large = announced.isdecimal() and int(announced) > max_bytes
        received = 0

        async def limited_receive() -> Message:
            nonlocal received
            if not too_large:
                message = await receive()
                received += len(message.get("body", b""))
            if too_large or received > max_bytes:
                # An HTTPException, since FastAPI turns all others from here into a 400.
                raise HTTPException(413, f"The body is larger than {max_bytes} bytes.")
            return message

        await self._app(scope, limited_receive, send)

    def _limit_of(self, path: str) -> int:
        for beginning, max_bytes in self._exceptions.items():
            if path.startswith(beginning):
                return max_bytes
        return self._max_bytes


class PlainStartupErrors:
    """Turns a `StartupError` of the lifespan into its one sentence, without a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the lifespan; pass everything else on."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        failed = False

        async def hold_back_traceback(message: Message) -> None:
            nonlocal failed
            if message["type"] == "lifespan.startup.failed":
                failed = True
                return
            await send(message)

        try:
            await self._app(scope, receive, hold_back_traceback)
        except StartupError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
        except BaseException:
            if failed:
                logger.exception("bRAG could not start")
                await send({"type": "lifespan.startup.failed", "message": ""})
            raise


def _log(scope: Scope, status: int, seconds: float) -> None:
    logger.info(
        "%s %s",
        scope["method"],
        scope["path"].encode("unicode_escape").decode(),
        extra={"status": status or None, "ms": round(seconds * 1000, 1)},
    )


def _traced(scope: Scope, current: str) -> AbstractContextManager["Span | None"]:
    if scope["path"] in UNTRACED:
        return nullcontext()
    parent = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
    return traced(
        method_of(scope),
        server=True,
        parent=parent.decode("latin-1") or None,
        facts={"http.request.method": method_of(scope), "brag.request_id": current},
    )


def _describe(span: "Span", scope: Scope, status: int) -> None:
    route = route_of(scope)
    span.update_name(f"{method_of(scope)} {route}")
    span.set_attribute("http.route", route)
    if status:
        span.set_attribute("http.response.status_code", status)
    if status >= SERVER_ERROR:
        fail(span)


def _count(scope: Scope, status: int, seconds: float) -> None:
    method, route = method_of(scope), route_of(scope)
    # Without a status, its sender has left before there was one.
    REQUESTS.labels(method, route, str(status or "none")).inc()
    REQUEST_SECONDS.labels(method, route).observe(seconds)


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == REQUEST_ID_HEADER:
            sent: str = value.decode("latin-1")
            if ACCEPTED_REQUEST_ID.fullmatch(sent):
                return sent
    return uuid.uuid4().hex
