"""What surrounds a job: the request that its run began with, in logs and traces, and its count."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from procrastinate.exceptions import JobAborted
from procrastinate.jobs import Job

from app.core.database import Database, StatementFailed
from app.core.exceptions import AppError
from app.core.logs import log_fields, request_id
from app.core.metrics import JOB_RUNS
from app.core.tracing import traced

__all__ = ["observed"]

logger = logging.getLogger(__name__)


@asynccontextmanager
async def observed(
    database: Database, job: Job, ingestion_id: str, *final_failures: type[Exception]
) -> AsyncIterator[None]:
    """Count a job, name its run and its request in its logs, and trace it below that request.

    `final_failures` are the exceptions after which it is not tried again.
    """
    origin = await _origin(database, ingestion_id)
    # Each job has a context of its own.
    request_id.set(origin.get("request_id"))
    log_fields.set({"ingestion": ingestion_id, "job": str(job.id)})
    outcome = "interrupted"
    with traced(
        f"job {job.task_name}",
        server=False,
        parent=origin.get("traceparent"),
        facts={"brag.ingestion": ingestion_id, "brag.job": job.id or 0},
    ):
        try:
            yield
            outcome = "succeeded"
        except JobAborted:
            outcome = "cancelled"
            raise
        except Exception as error:
            outcome = "failed" if isinstance(error, final_failures) else "retried"
            raise
        finally:
            JOB_RUNS.labels(job.task_name, outcome).inc()
            logger.debug("a job has ended", extra={"task": job.task_name, "outcome": outcome})


async def _origin(database: Database, ingestion_id: str) -> dict[str, Any]:
    """Return which request a run began with; a job doesn't fail for the lack of it."""
    try:
        found = await database.run_statement(
            lambda queries: queries.origin_of_ingestion(ingestion_id=ingestion_id)
        )
    except (AppError, StatementFailed):
        return {}
    return found or {}
