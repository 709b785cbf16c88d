"""bRAG's API, as commands use it: on a server, or in this process.

Both are HTTP to one client; only what carries it differs (`local.py`, `remote.py`). So a command
has one code path, and `--json` prints what the API answers.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import anyio
import httpx2

from app.cli.errors import RequestFailed
from app.cli.events import Event, read_events
from app.cli.refusals import refused, unreachable

__all__ = ["Connection", "opened"]

CONNECT_SEC: Final = 10
# A language model may think for minutes before its first word.
ANSWER_SEC: Final = 300
# An open stream tells every 15 seconds that it is there, unless the server is set otherwise.
SILENCE_SEC: Final = 90
CANCEL_SEC: Final = 5
# Of a list; more than anybody reads on a terminal.
MAX_PAGES: Final = 50
# Within the half minute that an answer waits for its reader.
PAUSES_SEC: Final = (0.2, 0.5, 1, 2, 4, 8, 10)


class Connection:
    """Requests, with every failure a `RequestFailed`."""

    def __init__(self, client: httpx2.AsyncClient, *, name: str, page_url: str) -> None:
        self._client = client
        # What to call it, and where its page is.
        self.name = name
        self.page_url = page_url

    async def get(self, path: str, **params: Any) -> Any:
        """Read something.

        Raises:
            RequestFailed: it was refused, or nobody answers.
        """
        return await self._send("GET", path, params=params)

    async def post(self, path: str, body: object = None, **parts: Any) -> Any:
        """Have something done, once, even if the connection breaks meanwhile.

        Raises:
            RequestFailed: it was refused, or nobody answers.
        """
        headers = {"Idempotency-Key": str(uuid4())}
        if body is not None:
            parts["json"] = body
        for pause in PAUSES_SEC[:3]:
            try:
                return await self._send("POST", path, headers=headers, **parts)
            except RequestFailed as error:
                if error.code != "connection_lost":
                    raise
                await asyncio.sleep(pause)
        return await self._send("POST", path, headers=headers, **parts)

    async def pages(self, path: str, **params: Any) -> list[Any]:
        """Read a list to its end.

        Raises:
            RequestFailed: it was refused, or nobody answers.
        """
        rows: list[Any] = []
        for _ in range(MAX_PAGES):
            response = await self._request("GET", path, params=params)
            rows += self._decoded(response)
            following = urlsplit(response.links.get("next", {}).get("url", ""))
            # Of the link its cursor alone: wherever else it leads, the token does not go there.
            if not (cursor := parse_qs(following.query).get("cursor")):
                break
            params["cursor"] = cursor[0]
        return rows

    async def patch(self, path: str, body: object) -> Any:
        """Change something.

        Raises:
            RequestFailed: it was refused, or nobody answers.
        """
        return await self._send("PATCH", path, json=body)

    async def ask(self, path: str, body: object) -> Any:
        """Ask, and return the whole answer; whoever is cancelled meanwhile stops it.

        Raises:
            RequestFailed: it was refused or went wrong, or the connection broke.
        """
        # Without a key: an answer that may be asked for again would go on.
        return await self._send("POST", path, json=body)

    async def answer(self, path: str, body: dict[str, Any]) -> AsyncGenerator[Event]:
        """Ask, and yield the events of the answer, also across connections that break.

        Whoever is cancelled in the middle stops the answer, too.

        Raises:
            RequestFailed: it was refused or went wrong, or the connection stays broken.
        """
        # Asked again with the same key, it is the same question.
        headers = {"Idempotency-Key": str(uuid4())}
        answer_id: str | None = None

        def request(last: int) -> dict[str, Any]:
            if answer_id is None:
                return {"method": "POST", "url": path, "json": body, "headers": headers}
            url = f"/v1/messages/{answer_id}/stream"
            return {"method": "GET", "url": url, "headers": {"Last-Event-ID": str(last)}}

        try:
            async with aclosing(self._resumed(request)) as events:
                async for event in events:
                    if event.name == "started":
                        answer_id = event.data["id"]
                    yield event
        except asyncio.CancelledError:
            if answer_id is not None:
                with anyio.move_on_after(CANCEL_SEC, shield=True):
                    await self.post(f"/v1/messages/{answer_id}/cancel")
            raise

    async def follow(self, path: str) -> AsyncGenerator[Event]:
        """Yield the events of something that is under way, to its end.

        Raises:
            RequestFailed: it was refused, or the connection stays broken.
        """

        def request(last: int) -> dict[str, Any]:
            return {"method": "GET", "url": path, "headers": {"Last-Event-ID": str(last)}}

        async with aclosing(self._resumed(request)) as events:
            async for event in events:
                yield event

    async def _resumed(self, request: Any) -> AsyncGenerator[Event]:
        last, breaks, is_connected = 0, 0, False
        told: object = None
        while True:
            try:
                async with aclosing(self._stream(request(last))) as events:
                    async for event in events:
                        is_connected = True
                        if event.id is not None:
                            if event.id <= last:
                                continue
                            last = event.id
                        # What each connection begins with does not show that they get better.
                        if event.id is not None or event.data != told:
                            breaks = 0
                        told = event.data if event.id is None else told
                        yield _checked(event)
                        if event.name == "done":
                            return
            except RequestFailed as error:
                is_lost = error.code == "connection_lost" or (
                    error.code == "unreachable" and is_connected
                )
                if not is_lost or breaks == len(PAUSES_SEC):
                    raise
            # It may also have ended without its last event.
            if breaks == len(PAUSES_SEC):
                raise RequestFailed("connection_lost", f"{self.name} keeps closing the connection.")
            await asyncio.sleep(PAUSES_SEC[breaks])
            breaks += 1

    async def _stream(self, request: dict[str, Any]) -> AsyncGenerator[Event]:
        timeout = httpx2.Timeout(ANSWER_SEC, connect=CONNECT_SEC)
        try:
            async with self._client.stream(**request, timeout=timeout) as response:
                if response.status_code != httpx2.codes.OK:
                    await response.aread()
                    raise refused(response, self.name)
                async with aclosing(_watched(response)) as chunks:
                    async for event in read_events(chunks):
                        yield event
        except (httpx2.TransportError, TimeoutError) as error:
            raise unreachable(error, self.name) from error

    async def _send(self, method: str, path: str, **parts: Any) -> Any:
        return self._decoded(await self._request(method, path, **parts))

    async def _request(self, method: str, path: str, **parts: Any) -> httpx2.Response:
        timeout = httpx2.Timeout(ANSWER_SEC, connect=CONNECT_SEC)
        try:
            response = await self._client.request(method, path, timeout=timeout, **parts)
        except httpx2.TransportError as error:
            raise unreachable(error, self.name) from error
        if not response.is_success:
            raise refused(response, self.name)
        return response

    def _decoded(self, response: httpx2.Response) -> Any:
        if response.status_code == httpx2.codes.NO_CONTENT:
            return None
        try:
            return response.json()
        except json.JSONDecodeError:
            raise refused(response, self.name) from None


async def _watched(response: httpx2.Response) -> AsyncGenerator[bytes]:
    """Yield what arrives; a connection that is silent for long is a broken one."""
    chunks = aiter(response.aiter_bytes())
    while True:
        async with asyncio.timeout(SILENCE_SEC):
            chunk = await anext(chunks, None)
        if chunk is None:
            return
        yield chunk


def _checked(event: Event) -> Event:
    if event.name == "error":
        raise RequestFailed(event.data["code"], event.data["message"])
    return event


@asynccontextmanager
async def opened(url: str | None, token: str | None) -> AsyncIterator[Connection]:
    """Connect to a server, or open the parts of one in this process."""
    if url:
        from app.cli.remote import open_remote  # noqa: PLC0415

        async with open_remote(url, token) as client:
            yield Connection(client, name=url, page_url=url.rstrip("/"))
    else:
        # It takes seconds to load.
        from app.cli.local import open_local  # noqa: PLC0415

        async with open_local() as (client, page_url):
            yield Connection(client, name="bRAG", page_url=page_url)
