"""A queue as a test sees it, and a worker in a hurry."""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.core.database import Database
from app.worker.engine import Concurrency, run_worker
from app.worker.tasks import Timing
from tests.support import fetch
from tests.worker.steps import PATIENCE_SEC, ScriptedSteps

__all__ = ["HURRY", "cancel", "defer", "ended", "running_worker", "status"]

HURRY = Timing(
    heartbeat=0.5, stalled=5, sweep=1, poll=0.1, abort_poll=0.2, grace=0.5, first_retry=0.05
)


@asynccontextmanager
async def running_worker(
    database: Database, folder: Path, *, timing: Timing = HURRY, document: int = 2
) -> AsyncIterator[None]:
    """Run a worker in this process until the block ends."""
    stop = asyncio.Event()
    worker = asyncio.create_task(
        run_worker(
            database,
            functools.partial(ScriptedSteps, folder),
            stop,
            concurrency=Concurrency(document=document),
            timing=timing,
        )
    )
    try:
        yield
    finally:
        stop.set()
        await worker


def defer(url: str, path: str | None, *, queue: str | None = None) -> int:
    """Queue the job of a document, or with None that of a listing, as the API does."""
    kind = "list" if path is None else "document"
    args = "'ingestion_id', '1'" + ("" if path is None else f", 'path', '{path}'")
    query = (
        "SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW("
        f"'{queue or kind}', 'ingestion:{kind}', 0, NULL, NULL, jsonb_build_object({args}), NULL"
        ")::procrastinate_job_to_defer_v1]))"
    )
    (row,) = fetch(url, query)
    return int(row[0])


def cancel(url: str, job: int) -> None:
    """Cancel a job, as the API does."""
    fetch(url, f"SELECT procrastinate_cancel_job_v1({job}, true, false)")


def status(url: str, job: int) -> str:
    """Return a job's status."""
    ((found,),) = fetch(url, f"SELECT status::text FROM procrastinate_jobs WHERE id = {job}")
    return str(found)


async def ended(url: str, job: int) -> str:
    """Wait for a job's end; return its status."""
    async with asyncio.timeout(PATIENCE_SEC):
        while (found := status(url, job)) in ("todo", "doing"):
            await asyncio.sleep(0.02)
    return found
