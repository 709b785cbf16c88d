"""A worker without a model: `python -m benchmarks.worker {nothing,documents} SLOTS`."""

import asyncio
import functools
import signal
import sys

from app.resources.database import open_database
from app.worker.engine import Concurrency, run_worker
from benchmarks.steps import NoSteps, open_unembedding_steps
from settings import load_settings


async def work(steps: str, slots: int) -> None:
    """Do jobs until SIGTERM."""
    settings = load_settings()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_database(settings) as database:
        documents = functools.partial(open_unembedding_steps, settings, database.url)
        await run_worker(
            database,
            NoSteps if steps == "nothing" else documents,
            stop,
            concurrency=Concurrency(document=slots),
        )


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], int(sys.argv[2])))
