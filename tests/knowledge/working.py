"""A worker in the test's own process; its steps have theirs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.core.database import Database
from app.worker.process import work
from settings import Settings

__all__ = ["working"]


@asynccontextmanager
async def working(settings: Settings, database: Database) -> AsyncIterator[None]:
    """Do what is queued until the block ends."""
    stop = asyncio.Event()
    task = asyncio.create_task(work(settings, database, stop))
    try:
        yield
    finally:
        stop.set()
        await task
