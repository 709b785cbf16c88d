"""A bRAG elsewhere, as its own tools: for clients that only know standard input and output."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Final

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)

import app
from app.core.elsewhere import UnusableServer, client_options
from app.core.exceptions import StartupError

__all__ = ["remote_server"]

logger = logging.getLogger("app.mcp")

Context = ServerRequestContext[Any, Any]
Connecting = Callable[[], AbstractAsyncContextManager[Client]]

CONNECT_SEC: Final = 10
# A server that is at work says so every 15 seconds.
READ_SEC: Final = 60
PATH: Final = "/mcp"


@asynccontextmanager
async def remote_server(url: str, token: str | None) -> AsyncIterator[Server[Any]]:
    """Look whether there is a bRAG at a URL; yield a server that passes every call on to it.

    Raises:
        StartupError: it can't be reached, or refuses the token.
    """
    try:
        options = client_options(url, token)
    except UnusableServer as error:
        raise StartupError(str(error)) from None
    address = url.rstrip("/").removesuffix(PATH) + PATH
    timeout = httpx2.Timeout(READ_SEC, connect=CONNECT_SEC)
    async with httpx2.AsyncClient(**options, timeout=timeout) as http:

        @asynccontextmanager
        async def connecting() -> AsyncIterator[Client]:
            async with Client(streamable_http_client(address, http_client=http)) as client:
                yield client

        with _plain_errors(address, StartupError):
            async with connecting() as client:
                told = client.server_info, client.instructions
        yield _forwarding(connecting, address, *told)


def _forwarding(
    connecting: Connecting, address: str, info: Implementation | None, instructions: str | None
) -> Server[Any]:
    """Pass each call on by a connection of its own: one that broke would end all after it."""

    async def list_tools(_: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        with _plain_errors(address, _failed):
            async with connecting() as client:
                return await client.list_tools(cursor=params.cursor if params else None)

    async def call_tool(
        context: Context, params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        try:
            with _plain_errors(address, _failed):
                async with connecting() as client:
                    return await client.call_tool(
                        params.name,
                        params.arguments,
                        progress_callback=context.session.report_progress,
                    )
        except MCPError as error:
            logger.warning("%s", error.message)
            content = TextContent(type="text", text=error.message)
            return CallToolResult(content=[content], is_error=True)

    return Server(
        "brag",
        version=info.version if info else app.__version__,
        title=info.title if info else None,
        instructions=instructions,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _failed(message: str) -> MCPError:
    return MCPError(INTERNAL_ERROR, message)


@contextmanager
def _plain_errors(address: str, failed: Callable[[str], Exception]) -> Iterator[None]:
    """Say in one sentence what is wrong with a server that can't be asked."""
    try:
        yield
    except* MCPError as group:
        raise failed(f"{address}: {_first(group).error.message}") from None
    except* (httpx2.HTTPError, httpx2.InvalidURL) as group:
        raise failed(
            f"{address} can't be reached ({type(_first(group)).__name__}). Is bRAG running there?"
        ) from None


def _first(group: BaseException) -> Any:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
