"""The task that keeps this process's view of the vector index up to date.

It wakes when PostgreSQL says that something changed, and looks every other second in case it
didn't hear. Where processes share an index, one of them leads and writes; the others watch how far
it has come and take over when it is gone.

A leader asks before every write whether it still leads. What it then writes may yet arrive after
the next leader's first writes, and be older than those. Such a write is never wrong by its content,
since a chunk never changes; but it can bring back a point whose chunk was deleted meanwhile (which
no search shows, texts coming from PostgreSQL), or remove one whose chunk was stored anew. So a new
leader applies the changes since it took over a second time after REPEAT_AFTER_SEC, when nothing
old can be under way any more. What would arrive even later stays wrong until the number of points
is compared, at the latest when the next leader starts.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from app.core.database import Database, Listener
from app.core.exceptions import DatabaseUnavailable, IndexUnavailable
from app.knowledge.index_checks import answer_check, begin_checks
from app.knowledge.index_comparison import compare
from app.knowledge.index_source import read_latest
from app.knowledge.index_writer import IndexWriter
from app.knowledge.leadership import Leadership
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import Position, VectorIndex

__all__ = ["Follower", "FollowerStatus"]

logger = logging.getLogger(__name__)

CHANNEL: Final = "index_change"
POLL_SEC: Final = 2.0
# Many small transactions make one pass of many changes, instead of a pass each.
PAUSE_SEC: Final = 0.05
FIRST_RETRY_SEC: Final = 0.1
MAX_RETRY_SEC: Final = 5.0
# Longer than a write to Qdrant may take, see above.
REPEAT_AFTER_SEC: Final = 30.0
# A process that has yet to build a big index serves everything else meanwhile.
START_TIMEOUT_SEC: Final = 20.0


@dataclass(frozen=True, slots=True)
class FollowerStatus:
    """How far the index is. It is complete up to `position`, None if it can't be searched yet."""

    position: Position | None
    # What has been applied, be it ahead of `position`: see `IndexWriter`.
    applied: Position | None
    # Since everything that was committed had been applied; None: that has never been so.
    caught_up_sec_ago: float | None
    # Whether this process is the one that writes.
    leading: bool
    # What keeps it from following at the moment.
    error: str | None


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    target: Position
    reached: asyncio.Future[None]


class _NotLeading(Exception):
    """Another process writes to the index now."""


class Follower:
    """Follows PostgreSQL with one index."""

    def __init__(self, database: Database, index: VectorIndex, encoder: SparseEncoder) -> None:
        self._database = database
        self._index = index
        self._writer = IndexWriter(database, index, encoder, self._require_leadership)
        self._leadership = (
            Leadership(database.url, index.leader_lock) if index.leader_lock is not None else None
        )
        self._term: int | None = None
        # Whether no pass has ended in this term yet; then, when to repeat it and from where.
        self._newly_leading = False
        self._repeat: tuple[float, Position] | None = None
        self._listener: Listener | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiters: list[_Waiter] = []
        self._wanted = asyncio.Event()
        self._started = asyncio.Event()
        self._position: Position | None = None
        self._applied: Position | None = None
        self._caught_up_at: float | None = None
        self._error: str | None = None

    @property
    def status(self) -> FollowerStatus:
        """Return how far this process's view of the index is."""
        ago = (
            None
            if self._caught_up_at is None
            else asyncio.get_running_loop().time() - self._caught_up_at
        )
        leading = self._leadership is None or self._term is not None
        return FollowerStatus(self._position, self._applied, ago, leading, self._error)

    async def start(self) -> None:
        """Follow from now on; return when the index has everything, or something is in the way.

        That takes 20 s at most. Until the index has everything, searches raise `IndexUnavailable`:
        nothing is found in half an index.
        """
        self._task = asyncio.create_task(self._follow())
        try:
            async with asyncio.timeout(START_TIMEOUT_SEC):
                await self._started.wait()
        except TimeoutError:
            logger.warning("the vector index is not ready yet; searches fail until it is")

    async def aclose(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            # Unlike awaiting the task, it does not hide that this one is cancelled as well.
            await asyncio.wait([self._task])
        for waiter in self._waiters:
            waiter.reached.cancel()
        if self._listener is not None:
            self._listener.close()
        if self._leadership is not None:
            self._leadership.close()

    def distrust(self) -> None:
        """Compare the number of points once more, and build the index anew if it is wrong."""
        self._writer.forget()

    async def caught_up(self) -> None:
        """Return when everything that was committed before this call can be found.

        That takes as long as PostgreSQL or the index is away: wait with a timeout.
        """
        target = await self._database.run(read_latest)
        if target is None:
            return
        waiter = _Waiter(target, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        self._wanted.set()
        try:
            await waiter.reached
        finally:
            self._waiters.remove(waiter)

    async def _follow(self) -> None:
        retry_sec = FIRST_RETRY_SEC
        while True:
            try:
                complete = await self._turn()
            except _NotLeading:
                continue
            except (DatabaseUnavailable, IndexUnavailable) as error:
                self._note_failure(error)
            except Exception as error:  # noqa: BLE001 - nothing may end this task unnoticed
                self._note_failure(error)
            else:
                self._note_success()
                retry_sec = FIRST_RETRY_SEC
                await asyncio.sleep(PAUSE_SEC)
                if complete:
                    await self._wait()
                continue
            self._writer.forget()
            await asyncio.sleep(retry_sec)
            retry_sec = min(2 * retry_sec, MAX_RETRY_SEC)

    async def _turn(self) -> bool:
        """Do what is to be done now; return whether nothing is left to do."""
        waiters = list(self._waiters)
        self._wanted.clear()
        await self._listen()
        if self._leadership is not None:
            term = await self._leadership.term()
            if term is None:
                self._term = None
                await self._stand_by(waiters)
                return True
            if term != self._term:
                self._term = term
                self._newly_leading = True
                self._writer.forget()
                logger.info("this process writes to the vector index")
        return await self._lead(waiters)

    async def _lead(self, waiters: list[_Waiter]) -> bool:
        await self._answer_checks()
        now = asyncio.get_running_loop().time()
        repeat = self._repeat if self._repeat is not None and now >= self._repeat[0] else None
        done = await self._writer.run_pass(again_from=repeat[1] if repeat else None)
        if repeat:
            self._repeat = None
        if self._newly_leading:
            self._newly_leading = False
            start = min(done.start, self._repeat[1]) if self._repeat else done.start
            self._repeat = (now + REPEAT_AFTER_SEC, start)
        self._position, self._applied = done.end, self._writer.applied
        self._tell(waiters, everything=done.complete)
        return done.complete

    async def _answer_checks(self) -> None:
        """Compare this process's own index with PostgreSQL if somebody wants to know."""
        replica, position = self._index.replica, self._writer.position
        if replica is None or position is None:
            return
        for check_id in await self._database.run(begin_checks, replica):
            comparison = await compare(self._database, self._index.scan, self._index.spec, position)
            await self._database.run(answer_check, check_id, replica, comparison)

    async def _stand_by(self, waiters: list[_Waiter]) -> None:
        self._position = self._applied = await self._index.position()
        latest = await self._database.run(read_latest)
        behind = self._position is None or (latest is not None and self._position < latest)
        self._tell(waiters, everything=not behind)

    def _tell(self, waiters: list[_Waiter], *, everything: bool) -> None:
        """Tell those who wait how far the index is; everything: all they could have meant."""
        if everything:
            self._caught_up_at = asyncio.get_running_loop().time()
            self._started.set()
        for waiter in waiters:
            reached = everything or (self._position is not None and waiter.target <= self._position)
            if reached and not waiter.reached.done():
                waiter.reached.set_result(None)

    async def _require_leadership(self) -> None:
        if self._leadership is not None and await self._leadership.term() != self._term:
            raise _NotLeading

    async def _listen(self) -> None:
        if self._listener is not None and self._listener.broken:
            self._listener.close()
            self._listener = None
        if self._listener is None:
            self._listener = await Listener.open(self._database.url, CHANNEL)
        self._listener.notified.clear()

    async def _wait(self) -> None:
        assert self._listener is not None
        events = (self._listener.notified, self._wanted)
        tasks = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            await asyncio.wait(tasks, timeout=POLL_SEC, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _note_failure(self, error: Exception) -> None:
        # The cause's text may hold a statement with its values.
        cause = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
        message = f"{error}{cause}"
        if message != self._error:
            known = isinstance(error, DatabaseUnavailable | IndexUnavailable)
            logger.warning(
                "the vector index can't be kept up to date, trying again: %s",
                message,
                exc_info=None if known else error,
            )
        self._error = message
        self._started.set()

    def _note_success(self) -> None:
        if self._error is not None:
            logger.warning("the vector index is being kept up to date again")
        self._error = None
