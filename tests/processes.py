"""bRAG in processes of its own, as its users run it."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from settings import ROOT

__all__ = [
    "GUNICORN",
    "MAKE",
    "PYTHON",
    "environment",
    "free_port",
    "postmaster_is_running",
    "run",
    "run_app",
    "running",
]

GUNICORN = ("gunicorn", "--config", "settings/gunicorn.conf.py")
PYTHON = (sys.executable, "-m")
# As users start it, with what was prepared for these tests.
MAKE = ("make", "--old-file=prepare", f"BIN={Path(sys.executable).parent}")


def environment(var_dir: Path, **variables: str) -> dict[str, str]:
    """Nothing configured but where the data is."""
    return os.environ | {"VAR_DIR": str(var_dir)} | variables


def run_app(var_dir: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m app` to its end."""
    return run(var_dir, "app", *arguments, **variables)


def run(var_dir: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a Python module to its end."""
    return subprocess.run(
        [*PYTHON, *command],
        cwd=ROOT,
        env=environment(var_dir, **{"PORT": str(free_port())} | variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@asynccontextmanager
async def running(
    var_dir: Path,
    *command: str,
    program: Sequence[str] = PYTHON,
    log: Path | None = None,
    **variables: str,
) -> AsyncIterator[tuple[httpx2.AsyncClient, subprocess.Popen[bytes]]]:
    """Run a server until the block ends; yield a client of it, and its process.

    Its log goes to the file `log`, when one is named.
    """
    port = free_port()
    with log.open("wb") if log else contextlib.nullcontext() as stderr:
        process = subprocess.Popen(
            [*program, *command],
            cwd=ROOT,
            env=environment(var_dir, PORT=str(port), **variables),
            stderr=stderr,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
            async with asyncio.timeout(120):
                while True:
                    with contextlib.suppress(httpx2.TransportError):
                        await client.get("/healthcheck")
                        break
                    assert process.poll() is None, "the server did not start"
                    await asyncio.sleep(0.05)
            yield client, process
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def postmaster_is_running(var_dir: Path) -> bool:
    """Tell whether the embedded PostgreSQL of that folder runs."""
    return (var_dir / "postgres" / "cluster" / "postmaster.pid").exists()
