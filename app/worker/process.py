"""A worker with what its steps need: the same in a process of its own and inside the API."""

import asyncio
import functools

from app.core.database import Database
from app.knowledge.ingestions.steps import open_steps
from app.worker.engine import Concurrency, run_worker
from settings import Settings

__all__ = ["work"]


async def work(settings: Settings, database: Database, stop: asyncio.Event) -> None:
    """Do the jobs of `database` until `stop` is set."""
    await run_worker(
        database,
        functools.partial(open_steps, settings, database.url),
        stop,
        concurrency=Concurrency(
            list=settings.worker_list_concurrency, document=settings.document_jobs
        ),
    )
