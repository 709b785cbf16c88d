"""A bRAG of one's own for a benchmark: folders, a server process, a language model process."""

import asyncio
import contextlib
import os
import socket
import statistics
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from settings import ROOT, Settings, load_settings

__all__ = ["Environment", "answering", "free_port", "milliseconds"]


class Environment:
    """A temporary `VAR_DIR`, and processes that use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.var_dir = folder / "var"
        self.var_dir.mkdir()
        (self.var_dir / "models").symlink_to(load_settings().models_dir)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its processes: nothing configured but the folder."""
        names = {name.upper() for name in Settings.model_fields}
        inherited = {key: value for key, value in os.environ.items() if key not in names}
        return inherited | {"VAR_DIR": str(self.var_dir), "LOG_LEVEL": "WARNING"}

    @property
    def settings(self) -> Settings:
        """Settings for using the same parts from this process."""
        return Settings(var_dir=self.var_dir, log_level="WARNING")

    @asynccontextmanager
    async def process(self, *arguments: str, **variables: str) -> AsyncIterator[Process]:
        """Run Python with these arguments until the block ends."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=ROOT, env=self.variables | variables
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    @asynccontextmanager
    async def upstream(self) -> AsyncIterator[str]:
        """Run a language model's server that answers at once; yield its base URL."""
        port = free_port()
        async with self.process("-m", "benchmarks.upstream", str(port)):
            await answering(f"http://127.0.0.1:{port}/")
            yield f"http://127.0.0.1:{port}/v1"

    @asynccontextmanager
    async def server(self, **variables: str) -> AsyncIterator[str]:
        """Run bRAG, with a route that tells how long its loop was blocked; yield its URL."""
        port = free_port()
        async with self.process("-m", "benchmarks.server", str(port), **variables):
            await answering(f"http://127.0.0.1:{port}/healthcheck")
            yield f"http://127.0.0.1:{port}"


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def milliseconds(seconds: Iterable[float]) -> float:
    """Return the median in milliseconds."""
    return statistics.median(seconds) * 1000


async def answering(url: str) -> None:
    """Wait until a server answers."""
    async with httpx2.AsyncClient(trust_env=False) as client, asyncio.timeout(120):
        while True:
            with contextlib.suppress(httpx2.TransportError):
                await client.get(url)
                return
            await asyncio.sleep(0.02)
