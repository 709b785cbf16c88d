"""The MCP server of a process that serves HTTP: there from the first request to its end."""

import asyncio
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.types import Receive, Scope, Send

from app.accounts.models import Caller
from app.core.exceptions import ServerStopping
from app.resources.service import Resources

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

__all__ = ["McpService"]


class McpService:
    """Hands requests to the SDK, which keeps nothing between them: any process may get the next.

    The SDK takes a second to load, so it is loaded when it is first asked for.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._manager: asyncio.Future[StreamableHTTPSessionManager] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; `scope["state"]["caller"]` is whose it is."""
        manager = await self._open_manager()
        await manager.handle_request(scope, receive, send)

    async def aclose(self) -> None:
        """End what is still open."""
        self._closing.set()
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _open_manager(self) -> "StreamableHTTPSessionManager":
        if self._closing.is_set():
            raise ServerStopping
        if self._manager is None:
            self._manager = asyncio.get_running_loop().create_future()
            # A task of its own: whoever asks first may leave before it is there, and what is
            # opened here has to be closed by the one who has opened it.
            self._task = asyncio.create_task(self._run(self._manager))
        return await asyncio.shield(self._manager)

    async def _run(self, opened: "asyncio.Future[StreamableHTTPSessionManager]") -> None:
        try:
            manager = await to_thread.run_sync(_create_manager, self._resources)
            async with manager.run():
                opened.set_result(manager)
                await self._closing.wait()
        except Exception as error:
            if opened.done():
                raise
            # The next request tries again.
            self._manager = None
            opened.set_exception(error)


def _create_manager(resources: Resources) -> "StreamableHTTPSessionManager":
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager  # noqa: PLC0415
    from sse_starlette.sse import AppStatus  # noqa: PLC0415

    from app.mcp.server import create_server  # noqa: PLC0415

    # Else it cuts off its streams as soon as the process is asked to stop. Like all others they
    # have until uvicorn cuts them off.
    AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]
    return StreamableHTTPSessionManager(
        create_server(resources, _caller),
        stateless=True,
        max_request_body_size=resources.settings.max_body_bytes,
    )


def _caller(context: Any) -> Caller:
    caller: Caller = context.request.state.caller
    return caller
