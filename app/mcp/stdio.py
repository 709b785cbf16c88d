"""The tools over standard input and output: a client starts `python -m app mcp` and talks to it.

Nothing but the protocol is written to standard output; the SDK keeps everything else away from it.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from app.accounts.models import LOCAL
from app.mcp.remote import remote_server
from app.mcp.server import create_server
from app.resources.service import open_resources
from settings import Settings

__all__ = ["serve_documents_here", "serve_documents_of"]

Opening = Callable[[], AbstractAsyncContextManager[Server[Any]]]

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
# What shells add to a signal's number.
BY_SIGNAL: Final = 128
ENDING_SEC: Final = 1


def serve_documents_here(settings: Settings) -> None:
    """Serve this machine's documents as the local account, until standard input ends.

    Raises:
        StartupError: a part can't be opened; says what to do.
    """

    @asynccontextmanager
    async def opening() -> AsyncIterator[Server[Any]]:
        async with open_resources(settings) as resources:
            yield create_server(resources, lambda _: LOCAL)

    _serve(opening)


def serve_documents_of(url: str, token: str | None) -> None:
    """Pass everything on to a bRAG elsewhere, until standard input ends.

    Raises:
        StartupError: it can't be reached, or refuses the token.
    """
    _serve(lambda: remote_server(url, token))


def _serve(opening: Opening) -> None:
    number = asyncio.run(_serve_until_stopped(opening))
    if number is not None:
        sys.exit(BY_SIGNAL + number)


async def _serve_until_stopped(opening: Opening) -> int | None:
    """Serve; return the signal that has ended it, unless the client has."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()
    # What is opened says nothing on standard output, now and in future.
    with contextlib.redirect_stdout(sys.stderr):
        stack = contextlib.AsyncExitStack()
        server = await stack.enter_async_context(opening())
    async with stack:
        for number in SIGNALS:
            loop.add_signal_handler(number, _set, stopped, number)
        serving = asyncio.create_task(_speak(server))
        either: set[asyncio.Future[Any]] = {serving, stopped}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not stopped.done():
            serving.result()
            return None
        serving.cancel()
        await asyncio.wait({serving}, timeout=ENDING_SEC)
    if not serving.done():
        # It waits for a thread that reads standard input, which only the client can end.
        sys.stderr.flush()
        os._exit(BY_SIGNAL + stopped.result())
    return stopped.result()


async def _speak(server: Server[Any]) -> None:
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def _set(future: "asyncio.Future[int]", number: int) -> None:
    if not future.done():
        future.set_result(number)
