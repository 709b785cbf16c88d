"""The SDK's own client, connected to a server under test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from app.main import create_app
from settings import Settings
from tests.serving import serve

__all__ = ["MODES", "connect", "open_tools", "text_of"]

MODES = ("auto", "legacy")


@asynccontextmanager
async def connect(
    url: str, *, mode: str = "auto", headers: dict[str, str] | None = None
) -> AsyncIterator[Client]:
    """Connect to the server at a base URL, of this generation of the protocol."""
    connected: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
    leaving = asyncio.Event()

    async def stay() -> None:
        try:
            async with (
                httpx2.AsyncClient(headers=headers, timeout=30, trust_env=False) as http,
                Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
            ):
                connected.set_result(client)
                await leaving.wait()
        except Exception as error:
            if connected.done():
                raise
            # What the transport's tasks raise comes in groups.
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            connected.set_exception(error)

    # What the client opens must be closed by the task that has opened it, and fixtures have one for
    # each.
    task = asyncio.create_task(stay())
    try:
        yield await connected
    finally:
        leaving.set()
        await task


@asynccontextmanager
async def open_tools(settings: Settings, **options: Any) -> AsyncIterator[Client]:
    """Serve bRAG with these settings, and connect to it over HTTP."""
    async with serve(create_app(settings)) as url, connect(url, **options) as client:
        yield client


def text_of(result: CallToolResult) -> str:
    """What a model reads of a result."""
    [block] = result.content
    assert isinstance(block, TextContent)
    return block.text
