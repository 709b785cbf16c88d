"""Real HTTP servers on loopback, in the test's own event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

__all__ = ["serve"]


@asynccontextmanager
async def serve(app: ASGIApp, *, graceful_sec: int = 5) -> AsyncIterator[str]:
    """Serve an application on a free port; yield its base URL.

    What is open `graceful_sec` after the end of the block is cut off.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=graceful_sec)
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
