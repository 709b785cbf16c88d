"""Tokens that cease to be valid while a stream goes on that was begun with them."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from uuid import UUID

from app.core.database import Database, Queries
from app.core.exceptions import AppError, Unauthorized

__all__ = ["TokenWatch"]

logger = logging.getLogger(__name__)

INTERVAL_SEC = 2


class TokenWatch:
    """Looks every two seconds whether the tokens of all open streams are still valid.

    One is not once it was revoked or has expired, or its account was deleted. While PostgreSQL
    can't be asked, streams go on.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open: defaultdict[UUID, set[asyncio.Future[AppError]]] = defaultdict(set)
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def watch(self, token_id: UUID | None) -> Iterator[asyncio.Future[AppError]]:
        """Yield what has a result when a token is valid no more; never without a token."""
        until: asyncio.Future[AppError] = asyncio.get_running_loop().create_future()
        if token_id is None:
            yield until
            return
        self._open[token_id].add(until)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield until
        finally:
            self._open[token_id].remove(until)
            if not self._open[token_id]:
                del self._open[token_id]
            if not self._open:
                self._looking.cancel()
                self._looking = None

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_SEC)
            asked = set(self._open)
            try:
                valid = await self._database.run_statement(_valid, asked)
            except AppError:
                # Logged where it happened.
                continue
            except Exception:
                logger.exception("tokens of open streams could not be looked at; trying again")
                continue
            for token_id in asked - valid:
                for until in self._open.get(token_id, ()):
                    if not until.done():
                        until.set_result(Unauthorized())


def _valid(queries: Queries, token_ids: Collection[UUID]) -> set[UUID]:
    ids = ",".join(map(str, token_ids))
    return {row["id"] for row in queries.list_valid_tokens(ids=f"{{{ids}}}")}
