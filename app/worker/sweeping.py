"""Jobs whose worker has died are found and put back."""

import logging
from collections.abc import Collection
from typing import Any, Final

from app.core.database import Database, Queries, StatementFailed
from app.worker.slots import Slots

__all__ = ["put_back", "sweep"]

logger = logging.getLogger(__name__)

# Workers seldom die of what a job does: that kills the job's own process, which is counted apart.
# They are killed from outside, and with three deaths allowed a few of some hundred jobs would be
# hit that often when somebody kills a worker thirty times.
MAX_WORKER_DEATHS: Final = 10
NOTE_SEC: Final = 60
# Of the jobs that a worker had when it died, one may have killed it. From then on they run one at a
# time, so that the next death is blamed on one alone.
SUSPECTS: Final = "suspects"
WORKER_DIED: Final = "The worker that had it died, time and again. It may need too much memory."

Row = dict[str, Any]


async def sweep(
    database: Database, bookkeeping: Slots, own_workers: Collection[int], *, stalled_sec: float
) -> None:
    """Put back the jobs of dead workers, and give up those that keep killing theirs.

    Several processes may sweep at once.
    """
    stalled = await database.run(_list_stalled, own_workers, stalled_sec)
    for row in stalled:
        try:
            given_up = await database.run(_judge, row["id"], row["worker_id"])
            if given_up is not None:
                await _give_up(database, bookkeeping, given_up)
        except StatementFailed:
            # The others must not wait for this one; it is tried again with the next sweep.
            logger.exception("a stalled job could not be put back", extra={"job": row["id"]})
    await database.run(_prune, own_workers, stalled_sec)


def put_back(queries: Queries, worker_ids: Collection[int]) -> None:
    """Put back what workers of this process had when they lost the database: no fault of theirs."""
    for job in queries.lock_jobs_of_workers(worker_ids=list(worker_ids)):
        if not _end_without_retry(queries, job):
            queries.put_back_job(job_id=job["id"], lock=None)
    list(queries.remove_workers(worker_ids=list(worker_ids)))


def _list_stalled(queries: Queries, own_workers: Collection[int], stalled_sec: float) -> list[Row]:
    # In the same transaction: after a laptop's sleep this process would otherwise take its own
    # workers for dead.
    list(queries.beat_workers(worker_ids=list(own_workers)))
    return list(queries.list_stalled_jobs(stalled_sec=stalled_sec))


def _prune(queries: Queries, own_workers: Collection[int], stalled_sec: float) -> None:
    list(queries.beat_workers(worker_ids=list(own_workers)))
    list(queries.prune_workers(stalled_sec=stalled_sec))


def _judge(queries: Queries, job_id: int, worker_id: int | None) -> Row | None:
    """Put a stalled job back; return it if it has to be given up instead."""
    job: Row | None = queries.lock_stalled_job(job_id=job_id, worker_id=worker_id)
    if job is None or _end_without_retry(queries, job):
        return None
    if worker_id is None:
        # It had the time to sign off, if not to end its job: when the database was away, say.
        queries.put_back_job(job_id=job_id, lock=None)
        return None
    trouble = queries.count_job_trouble(job_id=job_id, errors=0, crashes=0, worker_deaths=1)
    deaths = trouble["worker_deaths"]
    logger.warning(
        "a worker died while it had a job",
        extra={"job": job_id, "task": job["task_name"], "deaths": deaths},
    )
    if deaths >= MAX_WORKER_DEATHS:
        return job
    queries.put_back_job(job_id=job_id, lock=job["lock"] or SUSPECTS)
    return None


def _end_without_retry(queries: Queries, job: Row) -> bool:
    if job["abort_requested"]:
        # procrastinate's retry would call it failed.
        queries.end_job(job_id=job["id"], status="aborted")
    elif "ingestion_id" not in job["args"]:
        # Maintenance comes again by itself, and its next job may be in the queue already.
        queries.end_job(job_id=job["id"], status="failed")
    else:
        return False
    return True


async def _give_up(database: Database, bookkeeping: Slots, job: Row) -> None:
    ingestion_id, path = job["args"]["ingestion_id"], job["args"].get("path")
    # First this: a job that has ended is never looked at again.
    await bookkeeping.run(
        "note_failure", ingestion_id, path, WORKER_DIED, final=True, timeout_sec=NOTE_SEC
    )
    await database.run(_end, job["id"])


def _end(queries: Queries, job_id: int) -> None:
    queries.end_job(job_id=job_id, status="failed")
    queries.forget_job_trouble(job_id=job_id)
