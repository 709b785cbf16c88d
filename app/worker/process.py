"""A worker with what its steps need: the same in a process of its own and inside the API."""

import asyncio
import functools

from app.core.database import Database
from app.core.logs import configure_logs
from app.core.stopping import STEPS_SEC
from app.knowledge.ingestions.steps import Steps, open_steps
from app.worker.engine import Concurrency, run_worker
from app.worker.tasks import Timing
from settings import Settings

__all__ = ["work"]


async def work(
    settings: Settings,
    database: Database,
    stop: asyncio.Event,
    *,
    grace_sec: float = STEPS_SEC,
) -> None:
    """Do the jobs of `database` until `stop` is set; running steps then have `grace_sec` to end."""
    await run_worker(
        database,
        functools.partial(_open_in_child, settings, database.url),
        stop,
        concurrency=Concurrency(
            list=settings.worker_list_concurrency, document=settings.document_jobs
        ),
        timing=Timing(grace=grace_sec),
    )


def _open_in_child(settings: Settings, database_url: str) -> Steps:
    configure_logs(level=settings.log_level, as_json=settings.is_production)
    return open_steps(settings, database_url)
