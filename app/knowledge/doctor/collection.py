"""The shared index: one collection on a Qdrant server."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Final
from uuid import UUID

from app.core.database import Database
from app.core.exceptions import IndexUnavailable, StartupError
from app.knowledge.doctor.findings import (
    Examination,
    Finding,
    Severity,
    Stage,
    describe_points,
    differences,
    queue_chunks,
)
from app.knowledge.follower import Follower
from app.knowledge.index_comparison import compare
from app.knowledge.index_source import can_follow_from
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import IndexSpec

if TYPE_CHECKING:
    from app.knowledge.server_index import ServerIndex

__all__ = ["Collection"]

NAME: Final = "The Qdrant collection"
# A million chunks at 2,000 a second, with some room.
BUILD_TIMEOUT_SEC: Final = 1_800


class Collection:
    """A collection; `open_index` opens it for a moment."""

    def __init__(self, open_index: "Callable[[IndexSpec], Awaitable[ServerIndex]]") -> None:
        self._open = open_index

    async def examine(self, database: Database, spec: IndexSpec) -> Examination:
        """Compare the collection with PostgreSQL.

        Raises:
            DatabaseUnavailable, IndexUnavailable: one of them does not answer.
        """
        try:
            index = await self._open(spec)
        except StartupError as error:
            return Examination([], [Finding(Severity.ERROR, str(error))])
        async with aclosing(index):
            position = await index.position()
            if position is None or not await database.run(can_follow_from, spec, position):
                incomplete = Finding(
                    Severity.ERROR,
                    f"{NAME} is not there, not complete, or too far behind PostgreSQL.",
                    "build it",
                    functools.partial(self._mend, database, spec, []),
                )
                return Examination([], [incomplete])
            found = await compare(database, index.scan, spec, position)
        mend = functools.partial(self._mend, database, spec, found.ids)
        return Examination([describe_points(NAME, found)], differences(NAME, found, mend))

    async def _mend(
        self, database: Database, spec: IndexSpec, ids: list[UUID], stage: Stage
    ) -> None:
        await queue_chunks(database, ids)
        async with (
            aclosing(await self._open(spec)) as index,
            # Another process may be the one that writes; then this only waits for it.
            aclosing(Follower(database, index, SparseEncoder())) as follower,
        ):
            await follower.start()
            try:
                async with asyncio.timeout(BUILD_TIMEOUT_SEC):
                    await follower.caught_up()
            except TimeoutError:
                raise IndexUnavailable from None
        stage("writing points", 1, 1)
