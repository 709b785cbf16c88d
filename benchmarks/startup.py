"""How soon and how small: from `make run-dev` to the first answer, and memory at rest."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import httpx2

from benchmarks.environment import Environment, free_port
from benchmarks.result import Result
from settings import ROOT

__all__ = ["startup"]


async def startup(environment: Environment) -> list[Result]:
    """Start twice, as after an installation: the first time fills the knowledge base."""
    await _run_dev(environment)
    seconds, rss = await _run_dev(environment)
    return [
        Result("make run-dev to /healthcheck", seconds, "s", at_most=5),
        Result("idle RSS of the serving process", rss / 1e6, "MB", at_most=400),
    ]


async def _run_dev(environment: Environment) -> tuple[float, int]:
    port = free_port()
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        "make",
        "run-dev",
        cwd=ROOT,
        env=environment.variables | {"PORT": str(port)},
        start_new_session=True,
    )
    try:
        async with httpx2.AsyncClient(trust_env=False) as client, asyncio.timeout(120):
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    await client.get(f"http://127.0.0.1:{port}/healthcheck")
                    break
                await asyncio.sleep(0.02)
            seconds = time.perf_counter() - started
            await asyncio.sleep(3)
            return seconds, max(_rss(pid) for pid in _session(process.pid))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()


def _session(leader: int) -> list[int]:
    return [
        int(path.name)
        for path in Path("/proc").glob("[0-9]*")
        if path.exists() and _session_of(int(path.name)) == leader
    ]


def _session_of(pid: int) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid)
    return None


def _rss(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
