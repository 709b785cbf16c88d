"""The tasks that workers run, and what becomes of one that fails.

A step that fails is tried again after 2, 4 and 8 seconds, unless its process has died under it
three times. What an ingestion tells about it is noted first, and the job's end after it: whoever is
killed in between does it again, and nothing stays open for ever.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from procrastinate import App, BaseRetryStrategy, RetryDecision
from procrastinate.exceptions import JobAborted
from procrastinate.job_context import AbortReason, JobContext
from procrastinate.jobs import Job

from app.core.database import Database
from app.core.exceptions import AppError, DatabaseUnavailable
from app.core.stopping import STEPS_SEC
from app.knowledge.exceptions import SourceUnavailable
from app.worker.observing import observed
from app.worker.slots import Slots, StepCrashed, StepTimedOut
from app.worker.sweeping import sweep

__all__ = ["DOCUMENT_QUEUE", "LIST_QUEUE", "MAINTENANCE_QUEUE", "Steps", "Tasks", "Timing"]

logger = logging.getLogger(__name__)

LIST_QUEUE: Final = "list"
DOCUMENT_QUEUE: Final = "document"
MAINTENANCE_QUEUE: Final = "maintenance"

LIST_SEC: Final = 300
FETCH_SEC: Final = 300
STORE_SEC: Final = 600
PRUNE_SEC: Final = 600
NOTE_SEC: Final = 60
MAX_ERRORS: Final = 4
# A source that says how long to wait has nothing wrong with it: GitHub lets 60 documents an hour
# through to who has no token.
MAX_WAITS: Final = 30
MAX_CRASHES: Final = 3
# When what failed can't even be noted: the database is away, say. Nothing is counted then.
UNNOTED_RETRY_SEC: Final = 10
KEEP_HOURS: Final = 7 * 24

UNEXPECTED: Final = "Something unexpected went wrong. The worker's log says what."


class Steps(Protocol):
    """What the jobs do: sync methods that run in a slot's child process.

    A step may be killed between any two lines and run again, twice at once even. What can't
    succeed however often it is tried, it notes itself and returns.
    """

    def list_source(self, ingestion_id: str) -> None:
        """List a source and queue its documents; at most 5 minutes."""

    def fetch_document(self, ingestion_id: str, path: str) -> bool:
        """Get a document's content, in 5 minutes; return whether there is something to store."""

    def store_document(self, ingestion_id: str, path: str) -> None:
        """Store a document; at most 10 minutes."""

    def note_failure(
        self, ingestion_id: str, path: str | None, message: str, *, final: bool
    ) -> None:
        """Keep why a step failed; `final` when it is not tried again. May be told twice."""

    def schedule(self) -> None:
        """Begin the ingestions that are due; called every minute."""

    def prune(self) -> None:
        """Remove what nothing needs any more."""

    def clean(self) -> None:
        """Remove what is too old; called every day."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How fast things are noticed, in seconds; tests are in more of a hurry."""

    heartbeat: float = 10
    # A worker that has not been heard of for this long is taken for dead.
    stalled: float = 30
    sweep: int = 10
    # How soon a job is seen that has waited for its time, or was put back; new ones are told of.
    poll: float = 2
    # An abort is told of as well; this is for when that gets lost.
    abort_poll: float = 1
    # What running steps have left when the worker is asked to stop; less than `stalled`.
    grace: float = STEPS_SEC
    first_retry: float = 2


class Failed(Exception):
    """The job is not tried again; what there is to say has been noted."""


class TryAgain(Exception):
    """The job is tried again in some seconds."""

    def __init__(self, after_sec: float) -> None:
        super().__init__()
        self.after_sec = after_sec


class _Retry(BaseRetryStrategy):
    """Asks the exception. procrastinate's own strategy knows one count for all there is to count,
    and lets a job that a stopping worker gives back wait as if it had failed.
    """

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, Failed):
            return None
        if isinstance(exception, TryAgain):
            return _in(exception.after_sec)
        if isinstance(exception, asyncio.CancelledError):
            # The worker is stopping: at once, elsewhere.
            return RetryDecision()
        if not isinstance(exception, DatabaseUnavailable):
            logger.error("a failure could not be noted", extra={"job": job.id}, exc_info=exception)
        return _in(UNNOTED_RETRY_SEC)


def _in(seconds: float) -> RetryDecision:
    return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=seconds))


class Tasks:
    """The tasks of one process."""

    def __init__(
        self, database: Database, slots: Slots, bookkeeping: Slots, timing: Timing
    ) -> None:
        """Prepare them.

        `bookkeeping` has slots for what needs no model: their children stay small.
        """
        self._database = database
        self._slots = slots
        self._bookkeeping = bookkeeping
        self._timing = timing
        # Of this process, as far as they have had jobs.
        self.worker_ids: set[int] = set()

    def register(self, app: App) -> None:
        """Tell procrastinate of the tasks."""
        retry = _Retry()
        app.task(name="ingestion:list", queue=LIST_QUEUE, retry=retry, pass_context=True)(
            self._list
        )
        app.task(name="ingestion:document", queue=DOCUMENT_QUEUE, retry=retry, pass_context=True)(
            self._document
        )
        app.task(name="maintenance:prune", queue=MAINTENANCE_QUEUE, pass_context=True)(self._prune)
        # croniter's sixth field is the seconds.
        self._periodic(app, "maintenance:sweep", f"* * * * * */{self._timing.sweep}", self._sweep)
        self._periodic(app, "maintenance:schedule", "* * * * *", self._schedule)
        self._periodic(app, "maintenance:clean", "17 3 * * *", self._clean)

    def _periodic(
        self, app: App, name: str, cron: str, work: Callable[[JobContext], Awaitable[None]]
    ) -> None:
        async def run(context: JobContext, /, timestamp: int) -> None:  # noqa: ARG001 -- its name
            self._meet(context)
            await work(context)

        task = app.task(
            name=name,
            queue=MAINTENANCE_QUEUE,
            # Before any number of prunes.
            priority=1,
            # It keeps a second one from waiting in the queue. A lock that is held while the task
            # runs would be held by a dead worker's sweep, for ever.
            queueing_lock=name,
            pass_context=True,
        )
        app.periodic(cron=cron)(task(run))

    async def _list(self, context: JobContext, ingestion_id: str) -> None:
        async def work() -> None:
            await self._slots.run("list_source", ingestion_id, timeout_sec=LIST_SEC)

        await self._guarded(context, work, ingestion_id)

    async def _document(self, context: JobContext, ingestion_id: str, path: str) -> None:
        async def work() -> None:
            run = self._slots.run
            if await run("fetch_document", ingestion_id, path, timeout_sec=FETCH_SEC):
                await run("store_document", ingestion_id, path, timeout_sec=STORE_SEC)

        await self._guarded(context, work, ingestion_id, path)

    async def _guarded(
        self,
        context: JobContext,
        work: Callable[[], Awaitable[None]],
        ingestion_id: str,
        path: str | None = None,
    ) -> None:
        self._meet(context)
        async with observed(self._database, context.job, ingestion_id, Failed):
            try:
                try:
                    await work()
                except Exception as error:  # noqa: BLE001 -- what it means is decided in one place
                    await self._fail(context.job, error, ingestion_id, path)
            except BaseException:
                # procrastinate would take the cancellation for an error, and try again.
                if context.abort_reason() is AbortReason.USER_REQUEST:
                    raise JobAborted from None
                raise

    async def _fail(self, job: Job, error: Exception, ingestion_id: str, path: str | None) -> None:
        is_crash = isinstance(error, StepCrashed)
        trouble = await self._database.run(
            lambda queries: queries.count_job_trouble(
                job_id=job.id, errors=int(not is_crash), crashes=int(is_crash), worker_deaths=0
            )
        )
        wait_sec = error.retry_after_sec if isinstance(error, SourceUnavailable) else None
        max_errors = MAX_ERRORS if wait_sec is None else MAX_WAITS
        final = trouble["errors"] >= max_errors or trouble["crashes"] >= MAX_CRASHES
        _log(job, error, ingestion_id, final=final)
        await self._bookkeeping.run(
            "note_failure", ingestion_id, path, _message(error), final=final, timeout_sec=NOTE_SEC
        )
        if not final:
            failures = min(trouble["errors"] + trouble["crashes"], MAX_ERRORS)
            raise TryAgain(max(self._timing.first_retry * 2 ** (failures - 1), wait_sec or 0))
        # Who has it run once more, by hand, gives it all its chances back.
        await self._database.run(lambda queries: queries.forget_job_trouble(job_id=job.id))
        raise Failed

    async def _sweep(self, _: JobContext) -> None:
        await sweep(
            self._database, self._bookkeeping, self.worker_ids, stalled_sec=self._timing.stalled
        )

    async def _schedule(self, _: JobContext) -> None:
        await self._bookkeeping.run("schedule", timeout_sec=NOTE_SEC)

    async def _clean(self, context: JobContext) -> None:
        await self._bookkeeping.run("clean", timeout_sec=PRUNE_SEC)
        await context.app.job_manager.delete_old_jobs(
            KEEP_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
        )

    async def _prune(self, context: JobContext) -> None:
        self._meet(context)
        await self._bookkeeping.run("prune", timeout_sec=PRUNE_SEC)

    def _meet(self, context: JobContext) -> None:
        """Note whose job this is, at its beginning."""
        task = asyncio.current_task()
        assert task is not None
        # A job whose end can't be stored ends its task with an exception, which procrastinate never
        # looks at. Such jobs are put back; asyncio need not complain.
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        if context.job.worker_id is not None:
            self.worker_ids.add(context.job.worker_id)


def _message(error: Exception) -> str:
    """Say what went wrong to the user, who must not see what is ours or somebody else's."""
    if isinstance(error, SourceUnavailable | StepTimedOut | StepCrashed):
        return str(error)
    return error.message if isinstance(error, AppError) else UNEXPECTED


def _log(job: Job, error: Exception, ingestion_id: str, *, final: bool) -> None:
    is_expected = isinstance(error, SourceUnavailable | StepTimedOut | StepCrashed | AppError)
    logger.log(
        logging.WARNING if is_expected else logging.ERROR,
        "a job failed for good" if final else "a job failed and is tried again",
        extra={
            "job": job.id,
            "task": job.task_name,
            "ingestion": ingestion_id,
            "error": type(error).__name__,
        },
        exc_info=None if is_expected else error,
    )
