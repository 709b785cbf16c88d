"""The worker inside the API process, for an installation that has no others."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from anyio import to_thread

from app.core.database import Database
from app.core.exceptions import DatabaseUnavailable
from app.core.stopping import EMBEDDED_STEPS_SEC
from app.knowledge.leadership import Leadership
from settings import Settings

__all__ = ["embedded_worker"]

LOCK = "brag.embedded-worker"
POLL_SEC = 2.0
# The API has answered its first requests by then.
FIRST_POLL_SEC = 0.5


@asynccontextmanager
async def embedded_worker(settings: Settings, database: Database) -> AsyncIterator[None]:
    """Run the worker while the block runs, in one of several API processes at a time."""
    stop = asyncio.Event()
    work = asyncio.create_task(_work(settings, database, stop))
    try:
        yield
    finally:
        stop.set()
        await work


async def _work(settings: Settings, database: Database, stop: asyncio.Event) -> None:
    leadership = Leadership(database.url, LOCK)
    try:
        await _wait(stop, FIRST_POLL_SEC)
        while not stop.is_set() and not await _leads(leadership):
            await _wait(stop, POLL_SEC)
        if not stop.is_set():
            # Loading it takes a while, which nobody who asks something should wait for. Once it
            # runs it goes on, whatever becomes of the lock: two of them are no harm.
            process = await to_thread.run_sync(importlib.import_module, "app.worker.process")
            await process.work(settings, database, stop, grace_sec=EMBEDDED_STEPS_SEC)
    finally:
        await to_thread.run_sync(leadership.close)


async def _leads(leadership: Leadership) -> bool:
    try:
        return await leadership.term() is not None
    except DatabaseUnavailable:
        return False


async def _wait(stop: asyncio.Event, sec: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(sec):
            await stop.wait()
