"""The worker: procrastinate's workers, one per queue, kept going whatever the database does."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker

from app.core.database import CONNECT_ARGS, STATEMENT_TIMEOUT_SEC, Database
from app.core.exceptions import DatabaseUnavailable
from app.worker.slots import Slots
from app.worker.sweeping import put_back
from app.worker.tasks import (
    DOCUMENT_QUEUE,
    LIST_QUEUE,
    MAINTENANCE_QUEUE,
    Steps,
    Tasks,
    Timing,
)

__all__ = ["Concurrency", "run_worker"]

logger = logging.getLogger(__name__)

# A prune may take its time; a sweep must not wait for it, and noting a failure for neither.
MAINTENANCE_CONCURRENCY: Final = 2
POOL_SIZE: Final = 4
POOL_TIMEOUT_SEC: Final = 5
NEVER_SEC: Final = 10 * 365 * 86_400
FIRST_RESTART_SEC: Final = 0.5
LAST_RESTART_SEC: Final = 15
# What they log as errors, with tracebacks, is an outage, which is said once below, or a job that
# failed, which its task says.
QUIET: Final = ("procrastinate", "psycopg.pool")
DEFAULT_TIMING: Final = Timing()


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many jobs of a kind run at once in one process."""

    list: int = 1
    document: int = 2


class LostDatabase(Exception):
    """A worker ended by itself: it could not keep its connections."""


async def run_worker(
    database: Database,
    make_steps: Callable[[], Steps],
    stop: asyncio.Event,
    *,
    concurrency: Concurrency = Concurrency(),
    timing: Timing = DEFAULT_TIMING,
) -> None:
    """Run jobs until `stop` is set, or the call is cancelled.

    Running steps then have `timing.grace` seconds; whatever is not done by then is killed, and its
    job handed back. A database that goes away is waited for. `make_steps` runs in the children
    and must be picklable.
    """
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    async with (
        Slots(concurrency.list + concurrency.document, make_steps) as slots,
        Slots(MAINTENANCE_CONCURRENCY + 1, make_steps) as bookkeeping,
    ):
        tasks = Tasks(database, slots, bookkeeping, timing)
        await _keep_running(database, tasks, stop, concurrency, timing)


async def _keep_running(
    database: Database,
    tasks: Tasks,
    stop: asyncio.Event,
    concurrency: Concurrency,
    timing: Timing,
) -> None:
    loop = asyncio.get_running_loop()
    wait = FIRST_RESTART_SEC
    while not stop.is_set():
        started = loop.time()
        try:
            await _run_once(database, tasks, stop, concurrency, timing)
        except Exception as error:  # noqa: BLE001 -- whatever it is, jobs must go on
            if loop.time() - started > LAST_RESTART_SEC:
                wait = FIRST_RESTART_SEC
            if wait == FIRST_RESTART_SEC:
                # Once: the next ones are most likely the same.
                _log(error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)
            wait = min(wait * 2, LAST_RESTART_SEC)


async def _run_once(
    database: Database,
    tasks: Tasks,
    stop: asyncio.Event,
    concurrency: Concurrency,
    timing: Timing,
) -> None:
    """Run one worker per queue until `stop` is set or one of them ends by itself."""
    # Without a database it fails at once, where the pool would try for half a minute.
    await database.run(put_back, tasks.worker_ids)
    tasks.worker_ids.clear()
    # A pool that could not be opened can't be opened again, so everything is made anew.
    app = App(connector=_connector(database.url))
    tasks.register(app)
    async with app.open_async():
        # procrastinate has one concurrency per worker.
        workers = [
            _worker(app, LIST_QUEUE, concurrency.list, timing),
            _worker(app, DOCUMENT_QUEUE, concurrency.document, timing),
            _worker(app, MAINTENANCE_QUEUE, MAINTENANCE_CONCURRENCY, timing),
        ]
        runs = [asyncio.create_task(worker.run()) for worker in workers]
        # Created after the workers: their first step takes back an earlier stop.
        stopping = asyncio.create_task(stop.wait())
        try:
            logger.info("the worker runs")
            await asyncio.wait([*runs, stopping], return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                logger.info("the worker stops; running steps have %g s to end", timing.grace)
        finally:
            stopping.cancel()
            for worker in workers:
                worker.stop()
            ends = await asyncio.gather(*runs, return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end
    if not stop.is_set():
        raise LostDatabase


def _worker(app: App, queue: str, concurrency: int, timing: Timing) -> Any:
    # `App.run_worker_async` makes the same object, but can only be cancelled; and while a worker
    # starts, a cancellation may get lost in the pool. The methods have no types.
    return Worker(
        app,
        queues=[queue],
        name=queue,
        concurrency=concurrency,
        install_signal_handlers=False,
        fetch_job_polling_interval=timing.poll,
        abort_job_polling_interval=timing.abort_poll,
        shutdown_graceful_timeout=timing.grace,
        update_heartbeat_interval=timing.heartbeat,
        # The sweep removes dead workers, once it has seen whose jobs they had.
        stalled_worker_timeout=NEVER_SEC,
        # A sweep every ten seconds: nobody wants to read of the 8,640 a day that went well.
        delete_jobs="successful" if queue == MAINTENANCE_QUEUE else "never",
    )


def _connector(url: str) -> PsycopgConnector:
    async def configure(connection: psycopg.AsyncConnection) -> None:
        # Every statement of procrastinate's stands alone. It can't be an argument of the
        # connection: procrastinate gives its own to the one that listens.
        await connection.set_autocommit(True)

    return PsycopgConnector(
        conninfo=url,
        kwargs=CONNECT_ARGS
        | {
            "application_name": "brag-worker",
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_SEC}s",
        },
        configure=configure,
        min_size=1,
        max_size=POOL_SIZE,
        timeout=POOL_TIMEOUT_SEC,
    )


def _log(error: Exception) -> None:
    if isinstance(error, DatabaseUnavailable | ConnectorException | psycopg.Error | LostDatabase):
        logger.warning("the worker has lost the database and tries again until it is back")
    else:
        logger.error("the worker broke and starts again", exc_info=error)
