"""HTTP for clients that are slow, greedy or broken: uvicorn's protocol, with limits.

uvicorn's own takes any number of headers, and waits for ever for a request that has begun and for
an answer to be read. What is refused here has reached no route; the answer is an error as all are.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.core.handlers import plain_error
from app.core.open_files import max_connections
from app.core.security_headers import DEFAULTS

__all__ = ["GuardedProtocol", "Limits"]

MALFORMED: Final = (400, "malformed_request", "This is not valid HTTP/1.1.")


@dataclass(frozen=True)
class Limits:
    """What a connection may take."""

    # A request's first line with its headers.
    head_bytes: int = 32_768
    headers: int = 100
    # From a connection's beginning, or a request's first byte, to the end of the headers.
    head_sec: float = 15
    # A body may pause for as long as this, and has to come at this rate.
    body_pause_sec: float = 20
    body_bytes_per_sec: float = 1_000
    # Then nothing more is taken of what nobody wants; until then, the client can read why.
    linger_sec: float = 5
    # A reader that lets an answer wait takes some of it within this.
    reading_sec: float = 60
    # Most that are open at once; None: as many as the process may have.
    connections: int | None = None


class _Refused(Exception):
    """A request is answered here."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    limits: ClassVar[Limits] = Limits()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._in_body = False
        self._given_up = False
        self._requests = 0
        self._body_parts = 0
        # Since a head's first whole packet, and since a body's last byte.
        self._head_bytes = 0
        self._trailer_bytes = 0
        self._body_until = 0.0
        self._refusal = MALFORMED
        self._head_timer: asyncio.TimerHandle | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        self._closing_timer: asyncio.TimerHandle | None = None
        self._reading_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; one connection too many is told so."""
        super().connection_made(transport)
        if len(self.connections) > (self.limits.connections or max_connections()):
            self.logger.warning("too many connections: one was refused")
            message = "Too many connections. Please try again in a moment."
            self.transport.write(_response(503, "too_many_connections", message))
            self._close()
        else:
            self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._given_up = True
        for timer in (
            self._head_timer,
            self._body_timer,
            self._closing_timer,
            self._reading_timer,
        ):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come, within the limits."""
        if self._given_up:
            return
        requests, was_in_head, body_parts = self._requests, self._in_head, self._body_parts
        super().data_received(data)
        if self._given_up or self.transport.is_closing():
            return
        if requests == self._requests:
            if was_in_head and self._in_head:
                self._head_bytes += len(data)
            if self._in_body:
                no_body = body_parts == self._body_parts
                self._trailer_bytes = self._trailer_bytes + len(data) if no_body else 0
        if max(self._head_bytes, self._trailer_bytes) > self.limits.head_bytes:
            self._refuse(*self._head_too_large())
        else:
            self._expect()

    # --- What the parser finds --------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._requests += 1
        self._in_head, self._in_body = True, False
        self._head_bytes = self._trailer_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one that follows a body is nobody's."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check the headers before there is a request of them."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self.limits.head_bytes or len(self.headers) > self.limits.headers:
            self._refusal = self._head_too_large()
            raise _Refused
        names = {name for name, _ in self.headers}
        if b"upgrade" in names and names & {b"content-length", b"transfer-encoding"}:
            # The parser would take the body for another request.
            self._refusal = (400, "upgrade_with_body", "Send a body without `Upgrade`.")
            raise _Refused
        # Which fails for a target that is no path: then no request has begun.
        super().on_headers_complete()
        self._in_head, self._in_body = False, True
        self._body_until = self.loop.time() + self.limits.body_pause_sec

    def on_body(self, body: bytes) -> None:
        """Take a part of a body, which buys time for the next."""
        self._body_parts += 1
        now = self.loop.time()
        earned = len(body) / self.limits.body_bytes_per_sec
        self._body_until = min(
            max(self._body_until, now) + earned, now + self.limits.body_pause_sec
        )
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._in_body = False
        self._stop_closing()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- not uvicorn's words
        """Answer what can't be parsed, or was refused meanwhile."""
        self._refuse(*self._refusal)

    # --- What takes too long ----------------------------------------------------

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the end of this one's body, but not for ever."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._close()
        elif self._in_body:
            self._stop_closing()
            self._closing_timer = self.loop.call_later(self.limits.linger_sec, self._close)
        else:
            self._expect()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that nobody uses."""
        self._close()

    def pause_writing(self) -> None:
        """Let an answer wait for its reader, as long as that goes on reading."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """Go on with an answer."""
        # What is left of the last one has to be read, too.
        if not self.transport.is_closing():
            self._stop_watching_reader()
        super().resume_writing()

    def _watch_reader(self) -> None:
        # An answer of one piece is written at once: it may wait for minutes, and be read all along.
        self._stop_watching_reader()
        unread = self.transport.get_write_buffer_size()
        self._reading_timer = self.loop.call_later(
            self.limits.reading_sec, self._check_reader, unread
        )

    def _check_reader(self, unread: int) -> None:
        if self.transport.get_write_buffer_size() < unread:
            self._watch_reader()
        else:
            self.transport.abort()

    def _stop_watching_reader(self) -> None:
        if self._reading_timer is not None:
            self._reading_timer.cancel()
            self._reading_timer = None

    def _expect(self) -> None:
        """See to it that what is to come next comes in time."""
        is_idle = self.cycle is None or self.cycle.response_complete
        if self._in_body:
            self._stop_expecting_head()
            if self._body_timer is None:
                self._watch_body()
        elif is_idle and (self._in_head or self.timeout_keep_alive_task is None):
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(self.limits.head_sec, self._head_is_late)
        else:
            self._stop_expecting_head()

    def _stop_expecting_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        if self._in_head:
            self._refuse(408, "request_timeout", "The headers took too long to arrive.")
        else:
            self._close()

    def _watch_body(self) -> None:
        self._body_timer = None
        if not self._in_body or self._given_up:
            return
        now = self.loop.time()
        if self.flow.read_paused or self.cycle.waiting_for_100_continue:
            # It waits for us.
            self._body_until = now + self.limits.body_pause_sec
        if now >= self._body_until:
            self._refuse(408, "request_timeout", "The body took too long to arrive.")
        else:
            self._body_timer = self.loop.call_at(self._body_until, self._watch_body)

    # --- How it ends ------------------------------------------------------------

    def _head_too_large(self) -> tuple[int, str, str]:
        size, number = self.limits.head_bytes, self.limits.headers
        message = f"The URL and {number} headers at most must have no more than {size} bytes."
        return 431, "headers_too_large", message

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer, unless something else is being answered, and close the connection."""
        if self._given_up:
            return
        self._given_up = True
        is_answering = self._is_answering()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if is_answering:
            self._close()
            return
        self.transport.write(_response(status, code, message))
        # Closed at once, with something of the client's unread, it could not read why.
        self.transport.write_eof()
        self.flow.resume_reading()
        self._stop_closing()
        self._closing_timer = self.loop.call_later(self.limits.linger_sec, self._close)

    def _is_answering(self) -> bool:
        """Whether another answer has begun, so that there can't be one more."""
        if self.cycle is None or self.cycle.response_complete:
            return self._in_body
        return self.cycle.response_started or bool(self.pipeline)

    def _close(self) -> None:
        self._given_up = True
        self._stop_closing()
        if not self.transport.is_closing():
            self.transport.close()
        # Which waits for the reader to take what is still to be sent.
        self._watch_reader()

    def _stop_closing(self) -> None:
        if self._closing_timer is not None:
            self._closing_timer.cancel()
            self._closing_timer = None


def _response(status: int, code: str, message: str) -> bytes:
    body = plain_error(code, message).model_dump_json().encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
        *DEFAULTS,
    ]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return STATUS_LINE[status] + lines + b"\r\n" + body
