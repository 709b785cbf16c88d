"""An httpx2 transport that calls an ASGI app in the same process and streams its answer.

httpx2's own `ASGITransport` collects the whole body before it returns, so nothing could be
streamed through it. This one hands over each chunk when the app sends it, and the app waits until
the chunk is taken.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import anyio
import httpx2

__all__ = ["ASGIApp", "StreamingASGITransport"]

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
Head = tuple[int, list[tuple[bytes, bytes]]]


class StreamingASGITransport(httpx2.AsyncBaseTransport):
    """Sends requests to an ASGI app in this process; does not run the app's lifespan.

    An app that fails before its answer is complete is a `RemoteProtocolError`, as a server that
    hangs up would be. Of the request's timeouts only `read` has a meaning here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._running: set[_Exchange] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        exchange = _Exchange(self._app, request)
        self._running.add(exchange)  # the event loop itself holds tasks only weakly
        exchange.task.add_done_callback(lambda _: self._running.discard(exchange))
        try:
            status, headers = await exchange.response_start()
        except BaseException:
            await exchange.aclose()
            raise
        return httpx2.Response(status, headers=headers, stream=exchange)

    async def aclose(self) -> None:
        """End what was never closed: responses that nobody read to their end."""
        for exchange in list(self._running):
            await exchange.aclose()


class _Exchange(httpx2.AsyncByteStream):
    """One request and its response: the running app on one side, the response body on the other."""

    def __init__(self, app: ASGIApp, request: httpx2.Request) -> None:
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        self._request = request
        self._request_body = aiter(request.stream)
        self._request_sent = False
        self._read_timeout: float | None = request.extensions.get("timeout", {}).get("read")
        self._head: Head | None = None
        self._started = asyncio.Event()
        self._complete = False
        self._disconnected = asyncio.Event()
        self._error: Exception | None = None
        # No buffer: a chunk is handed over from task to task, which is the backpressure.
        self._writer, self._reader = anyio.create_memory_object_stream[bytes](0)
        self.task = asyncio.create_task(self._run(app))

    async def response_start(self) -> Head:
        try:
            async with asyncio.timeout(self._read_timeout):
                await self._started.wait()
        except TimeoutError as error:
            raise httpx2.ReadTimeout("The app did not answer in time.") from error
        if self._head is None:
            raise httpx2.RemoteProtocolError("The app failed to answer.") from self._error
        return self._head

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(self._read_timeout):
                    chunk = await self._reader.receive()
            except TimeoutError as error:
                raise httpx2.ReadTimeout("The app did not go on in time.") from error
            except anyio.EndOfStream:
                break
            yield chunk
        if not self._complete:
            message = "The app broke off its answer."
            raise httpx2.RemoteProtocolError(message) from self._error

    async def aclose(self) -> None:
        """Wait for the app to end; one that still answers is cancelled first."""
        self._disconnected.set()
        if not self._complete:
            self.task.cancel()
        self._reader.close()
        try:
            with anyio.CancelScope(shield=True):
                await asyncio.wait([self.task])
        finally:
            self._writer.close()  # a task cancelled before its first step has not done it

    async def _run(self, app: ASGIApp) -> None:
        url = self._request.url
        scope = {
            "type": "http",
            # 2.4: an app that sends to a closed response gets an OSError.
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": self._request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "server": (url.host, url.port),
            "client": None,
        }
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:
            self._error = error
            if self._complete:  # else the caller gets it
                logger.exception("The app failed after its answer.")
        finally:
            self._started.set()
            self._writer.close()

    async def _receive(self) -> Message:
        if not self._request_sent:
            chunk = await anext(self._request_body, None)
            self._request_sent = chunk is None
            return {
                "type": "http.request",
                "body": chunk or b"",
                "more_body": not self._request_sent,
            }
        await self._disconnected.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = message["status"], list(message.get("headers", []))
            self._started.set()
        elif message["type"] == "http.response.body":
            body = message.get("body", b"")
            if body and self._request.method != "HEAD":
                try:
                    await self._writer.send(body)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
                    raise ConnectionResetError("The response was closed.") from error
            if not message.get("more_body", False):
                self._complete = True
                self._writer.close()
