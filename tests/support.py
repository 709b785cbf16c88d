"""Small helpers that several test modules use."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import psycopg2
import psycopg2.extensions

from app.main import create_app
from settings import Settings
from tests.serving import serve

__all__ = [
    "Event",
    "eventually",
    "execute",
    "fetch",
    "open_client",
    "parse_events",
    "read_events",
]


@dataclass(frozen=True)
class Event:
    """A server-sent event."""

    name: str
    data: Any
    id: str | None = None


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Serve bRAG with these settings, and talk to it over HTTP."""
    async with (
        serve(create_app(settings)) as url,
        httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as client,
    ):
        yield client


async def read_events(
    client: httpx2.AsyncClient, path: str, message: str, **fields: Any
) -> list[Event]:
    """Ask for a stream and read it to its end."""
    body = {"message": message, **fields}
    async with client.stream("POST", path, json=body) as response:
        assert response.status_code == 200, await response.aread()
        text = (await response.aread()).decode()
    return parse_events(text)


def parse_events(text: str) -> list[Event]:
    """Parse what a stream has sent; comments are left out."""
    assert text.endswith("\n\n"), "the last event is cut off"
    events = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        if fields:
            events.append(Event(fields["event"], json.loads(fields["data"]), fields.get("id")))
    return events


async def eventually(check: Callable[[], Awaitable[bool]], *, within: float = 10) -> None:
    """Wait until `check` is true; fail when it doesn't become so."""
    async with asyncio.timeout(within):
        while not await check():
            await asyncio.sleep(0.02)


def execute(url: str, statement: str) -> None:
    """Run a statement outside of any transaction."""
    with _cursor(url) as cursor:
        cursor.execute(statement)


def fetch(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with _cursor(url) as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


@contextmanager
def _cursor(url: str) -> Iterator[psycopg2.extensions.cursor]:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()
