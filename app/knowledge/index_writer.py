"""Makes a vector index the same as PostgreSQL, from wherever the index stands.

A change only says which chunk changed. Applying it means to read what that chunk is now, and to
write its point or to remove it. So a change can be applied twice, too early or once more from
further back, and the index still converges: whatever breaks in between, the next pass goes on from
the position that the index itself remembers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple
from uuid import UUID

from app.core.database import Database
from app.core.exceptions import IndexUnavailable
from app.knowledge.index_source import (
    ChangesLost,
    read_changes,
    read_count,
    read_horizon,
    read_page,
)
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import Position, VectorIndex

__all__ = ["IndexWriter", "Pass"]

logger = logging.getLogger(__name__)

# The position is remembered at the end of a pass: after 16,000 changes at the latest.
BATCHES_PER_PASS: Final = 64
# An index that breaks again and again takes a tenth of the time for rebuilding, not all of it.
REBUILD_PAUSE_FACTOR: Final = 10


class Pass(NamedTuple):
    """What a pass applied: changes from `start` to `end`, and whether that was all there is."""

    start: Position
    end: Position
    complete: bool


class IndexWriter:
    """The one task that writes to an index.

    `may_write` is awaited before every write; it raises when this process must not write any more.
    """

    def __init__(
        self,
        database: Database,
        index: VectorIndex,
        encoder: SparseEncoder,
        may_write: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._index = index
        self._encoder = encoder
        self._may_write = may_write
        # Where the last pass ended; None: nothing is known of the index.
        self.position: Position | None = None
        # Changes up to here that are not settled yet have been applied ahead of time.
        self._ahead = Position(0, 0)
        self._verified = False
        self._next_rebuild = 0.0

    @property
    def applied(self) -> Position | None:
        """Return the last change that was applied, be it ahead of time; None: nobody knows."""
        return self.position and max(self.position, self._ahead)

    def forget(self) -> None:
        """Take nothing for granted in the next pass: something failed, or another one has led."""
        self.position = None
        self._verified = False

    async def run_pass(self, *, again_from: Position | None = None) -> Pass:
        """Apply the changes after the index's position, or after `again_from` if that is less.

        Raises:
            DatabaseUnavailable, IndexUnavailable: call `forget`, and try again in a moment.
        """
        start = await self._start()
        if again_from is not None:
            start = min(start, again_from)
        try:
            end, complete = await self._apply(start)
        except ChangesLost:
            logger.warning("the vector index is too far behind: it is rebuilt")
            start = await self._rebuild()
            end, complete = await self._apply(start)
        await self._index.remember(end, caught_up=complete)
        self.position = end
        if complete and not self._verified:
            await self._verify(end)
        return Pass(start, end, complete)

    async def _apply(self, position: Position) -> tuple[Position, bool]:
        for _ in range(BATCHES_PER_PASS):
            changes = await self._database.run(
                read_changes,
                self._index.spec,
                self._encoder,
                settled_after=position,
                unsettled_after=max(position, self._ahead),
            )
            if changes is None:
                return position, True
            await self._may_write()
            if changes.upserts:
                await self._index.upsert(changes.upserts)
            if changes.deletes:
                await self._index.delete(changes.deletes)
            if changes.settled:
                position = changes.end
            else:
                self._ahead = changes.end
        return position, False

    async def _start(self) -> Position:
        position = await self._index.position()
        if position is not None and position != self.position:
            horizon = await self._database.run(read_horizon)
            if position.xid > horizon.next_xid:
                logger.warning("the database was set back: the vector index is rebuilt")
                position = None
        if position is None:
            return await self._rebuild()
        if position != self.position:
            self._ahead = position
            self._verified = False
        return position

    async def _rebuild(self) -> Position:
        now = asyncio.get_running_loop().time
        began = now()
        if began < self._next_rebuild:
            raise IndexUnavailable
        # First the position, then the chunks: what changes in between is applied again later.
        start = (await self._database.run(read_horizon)).settled
        await self._may_write()
        await self._index.reset()
        count, after = 0, UUID(int=0)
        while True:
            page = await self._database.run(read_page, self._index.spec, self._encoder, after=after)
            if page.last is None:
                break
            await self._may_write()
            if page.points:
                await self._index.upsert(page.points)
            count, after = count + len(page.points), page.last
        await self._index.remember(start)
        self.position = self._ahead = start
        self._verified = True
        self._next_rebuild = now() + REBUILD_PAUSE_FACTOR * (now() - began)
        logger.info("the vector index is built: %d chunks in %.1f s", count, now() - began)
        return start

    async def _verify(self, position: Position) -> None:
        """Compare the number of points: files that were lost or cut short don't always show."""
        expected = await self._database.run(read_count, self._index.spec, position)
        if expected is None:
            return
        count = await self._index.count()
        self._verified = True
        if count != expected:
            logger.warning("the vector index has %d points instead of %d", count, expected)
            await self._rebuild()
