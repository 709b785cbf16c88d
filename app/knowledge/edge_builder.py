"""Builds an optimised generation in a process of its own: `python -m app.knowledge.edge_builder`.

Optimising holds the GIL for as long as it takes, so a serving process can't do it. The child reads
everything from PostgreSQL, optimises, and writes the note that makes the generation complete.
"""

import asyncio
import ctypes
import fcntl
import json
import os
import shutil
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final
from uuid import UUID

from app.core.database import Database
from app.knowledge.edge_generation import EdgeGeneration
from app.knowledge.index_source import read_horizon, read_page
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import IndexSpec
from settings import ROOT

__all__ = ["BuildFailed", "build_generation"]

TIMEOUT_SEC: Final = 3600
NICENESS: Final = 10
PR_SET_PDEATHSIG: Final = 1


class BuildFailed(Exception):
    """The child did not finish a generation."""


async def build_generation(folder: Path, spec: IndexSpec, database_url: str, *, lock: Path) -> None:
    """Fill `folder` with a complete, optimised generation in a child process, and wait for it.

    The child does not outlive this call, nor this process. One at a time builds per `lock`.

    Raises:
        BuildFailed: nothing usable came of it, and the folder is removed.
    """
    order = {
        "folder": str(folder),
        "spec": asdict(spec),
        "database_url": database_url,
        "lock": str(lock),
        "parent": os.getpid(),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    built = False
    try:
        # The URL holds a password: a pipe shows it to nobody else, a command line would.
        async with asyncio.timeout(TIMEOUT_SEC):
            _, errors = await process.communicate(json.dumps(order).encode())
        if process.returncode != 0:
            last_line = errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise BuildFailed(f"it ended with {process.returncode}: {last_line[:500]}")
        built = True
    except TimeoutError:
        raise BuildFailed(f"it took longer than {TIMEOUT_SEC} s") from None
    finally:
        if not built:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Carry out the order on standard input."""
    order = json.load(sys.stdin)
    _die_with(order["parent"])
    os.nice(NICENESS)
    # Several processes on a machine: one after the other, or they starve those that serve.
    with Path(order["lock"]).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _build(Path(order["folder"]), IndexSpec(**order["spec"]), order["database_url"])


def _build(folder: Path, spec: IndexSpec, database_url: str) -> None:
    encoder = SparseEncoder()
    database = Database(database_url, pool_size=1)
    # First the position, then the chunks: what changes in between is applied again later.
    start = database.run_sync(read_horizon).settled
    generation = EdgeGeneration.create(folder, spec)
    page = database.run_sync(read_page, spec, encoder, after=UUID(int=0))
    while page.last is not None:
        generation.upsert(page.points)
        page = database.run_sync(read_page, spec, encoder, after=page.last)
    database.close()
    generation.optimise()
    generation.position = start
    generation.save()
    generation.close()


def _die_with(parent: int) -> None:
    # A thread that watches the parent would not get the GIL while the shard is optimised. Elsewhere
    # than on Linux an orphan goes on to its end, harmlessly: nobody knows its folder.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent is gone")


if __name__ == "__main__":
    main()
