"""What has to be looked at again and again: the event loop's lag, the pool, the index's lag."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from app.core.database import Database
from app.core.metrics import (
    INDEX_LAG_CHANGES,
    INDEX_LAG_SECONDS,
    LOOP_LAG,
    POOL_IN_USE,
    POOL_SIZE,
    POOL_WAITING,
)
from app.core.models import PartStatus

__all__ = ["sampled", "show_index", "show_pool"]

logger = logging.getLogger(__name__)

LOOP_SEC: Final = 0.5
INDEX_SEC: Final = 5

CheckIndex = Callable[[], Awaitable[PartStatus]]


@asynccontextmanager
async def sampled(database: Database, check_index: CheckIndex | None = None) -> AsyncIterator[None]:
    """Look at them while the block runs."""
    tasks = [asyncio.create_task(_watch_loop(database))]
    if check_index is not None:
        tasks.append(asyncio.create_task(_watch_index(check_index)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def show_pool(database: Database) -> None:
    """Show how the pool is used just now."""
    pool = database.pool
    POOL_SIZE.set(pool.size)
    POOL_IN_USE.set(pool.in_use)
    POOL_WAITING.set(pool.waiting)


def show_index(index: PartStatus) -> None:
    """Show how far behind this process's index is, if it can be told."""
    if index.lag_changes is not None:
        INDEX_LAG_CHANGES.set(index.lag_changes)
    if index.lag_seconds is not None:
        INDEX_LAG_SECONDS.set(index.lag_seconds)


async def _watch_loop(database: Database) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOP_SEC
        await asyncio.sleep(LOOP_SEC)
        LOOP_LAG.observe(max(loop.time() - due, 0))
        show_pool(database)


async def _watch_index(check_index: CheckIndex) -> None:
    # Only who is scraped is asked otherwise, and another replica may lag.
    while True:
        await asyncio.sleep(INDEX_SEC)
        try:
            show_index(await check_index())
        except Exception:
            logger.exception("how far the index lags could not be told")
