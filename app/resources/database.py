"""The database: the one that is named, or an embedded one."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from anyio import to_thread

from app.core.database import Database
from app.core.embedded_postgres import EmbeddedPostgres
from app.core.exceptions import AppError, StartupError
from app.core.migrations import migrate
from settings import Settings

__all__ = ["open_database", "own_database"]

logger = logging.getLogger(__name__)

POSTGRES_CHECK_SEC = 2


@asynccontextmanager
async def open_database(
    settings: Settings, *, lock_timeout_sec: float | None = None
) -> AsyncIterator[Database]:
    """Open the database alone, migrated; for commands that need no more."""
    async with AsyncExitStack() as stack:
        owned = ExitStack()
        stack.push_async_callback(to_thread.run_sync, owned.close)
        url = await to_thread.run_sync(owned.enter_context, own_database(settings))
        database = Database(
            url, pool_size=settings.database_pool_size, lock_timeout_sec=lock_timeout_sec
        )
        stack.callback(database.close)
        if settings.database_url is None:
            keeping = asyncio.create_task(_keep_running(settings.postgres_dir, database))
            stack.push_async_callback(_cancel, keeping)
        yield database


@contextmanager
def own_database(settings: Settings) -> Iterator[str]:
    """Hold the database, the embedded one if no other is named; yield its URL, migrated."""
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        migrate(url)
        yield url
        return
    with EmbeddedPostgres.start(settings.postgres_dir) as server:
        migrate(server.url())
        yield server.url()


async def _keep_running(postgres_dir: Path, database: Database) -> None:
    """Start the embedded PostgreSQL again when it was killed; nobody else would."""
    while True:
        await asyncio.sleep(POSTGRES_CHECK_SEC)
        try:
            await database.run(lambda queries: queries.ping())
        except AppError:
            try:
                await to_thread.run_sync(EmbeddedPostgres.start, postgres_dir)
            except StartupError as error:
                logger.error("PostgreSQL is gone and can't be started again: %s", error)  # noqa: TRY400


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
