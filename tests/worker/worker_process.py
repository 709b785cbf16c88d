"""A worker as a process: `python -m tests.worker.worker_process URL FOLDER STALLED_SEC`."""

import asyncio
import dataclasses
import functools
import signal
import sys
from pathlib import Path

from app.core.database import Database
from app.worker.engine import run_worker
from tests.worker.jobs import HURRY
from tests.worker.steps import ScriptedSteps


async def main(url: str, folder: str, stalled: str) -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    database = Database(url, pool_size=2)
    make_steps = functools.partial(ScriptedSteps, Path(folder))
    timing = dataclasses.replace(HURRY, stalled=float(stalled))
    await run_worker(database, make_steps, stop, timing=timing)
    database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
