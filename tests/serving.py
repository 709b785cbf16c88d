"""Real HTTP servers on loopback, in the test's own event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from app.core.serving import SERVER_OPTIONS

__all__ = ["serve"]


@asynccontextmanager
async def serve(app: ASGIApp, *, graceful_sec: int = 5, **options: Any) -> AsyncIterator[str]:
    """Serve an application on a free port; yield its base URL.

    It is served as bRAG is, unless `options` of uvicorn say otherwise. What is open `graceful_sec`
    after the end of the block is cut off.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        options = SERVER_OPTIONS | {"timeout_graceful_shutdown": graceful_sec} | options
        config = uvicorn.Config(app, **options)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                if task.done():
                    raise RuntimeError("the application did not start")
                await asyncio.sleep(0.005)
            host, port = listener.getsockname()
            yield f"http://{host}:{port}"
        finally:
            server.should_exit = True
            await task
