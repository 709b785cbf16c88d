"""Which processes are alive, so that others know what was begun by one that is not."""

import asyncio
import logging
from typing import Final
from uuid import UUID, uuid4

from app.core.database import Database, Queries, StatementFailed
from app.core.exceptions import AppError

__all__ = ["ALIVE_SEC", "Process"]

logger = logging.getLogger(__name__)

# So long after its last sign of life a process counts as dead.
ALIVE_SEC: Final = 15
BEAT_SEC: Final = 3


class Process:
    """This process, as PostgreSQL knows it: alive while it says so every few seconds."""

    def __init__(self, database_url: str) -> None:
        self.id: Final[UUID] = uuid4()
        # Of its own: where requests queue for connections, it would seem dead.
        self._database = Database(database_url, pool_size=1)
        self._beating: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Be alive from now on.

        Raises:
            DatabaseUnavailable: nobody can be told.
        """
        await self._database.run_statement(_be_alive, self.id)
        self._beating = asyncio.create_task(self._beat())

    async def aclose(self) -> None:
        """Be alive no more: what is still open is given up at once."""
        if self._beating is None:
            return
        self._beating.cancel()
        await asyncio.wait({self._beating})
        try:
            await self._database.run_statement(_be_gone, self.id)
        except (AppError, StatementFailed):
            logger.warning("this process could not say that it ends; others notice soon")
        finally:
            self._database.close()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SEC)
            try:
                await self._database.run_statement(_be_alive, self.id)
            except AppError:
                # Logged where it happened.
                continue
            except Exception:
                logger.exception("this process could not say that it is alive; trying again")


def _be_alive(queries: Queries, process_id: UUID) -> None:
    queries.upsert_process(id=process_id, alive_sec=ALIVE_SEC)


def _be_gone(queries: Queries, process_id: UUID) -> None:
    queries.delete_process(id=process_id)
