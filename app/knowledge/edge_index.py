"""The embedded index: Qdrant Edge inside the process, a replica of its own for each process.

var/qdrant/
├── build.lock              one optimised generation is built at a time
└── 0/                      a slot: one process has it, and the next one goes on with it
    ├── lock                held while the process lives; Edge itself would let two in
    └── 000007-5f0c1a2b/    a generation (`edge_generation.py`): the newest complete one is current

Edge holds the GIL in all its calls. A search takes a millisecond or two, so it runs on the event
loop: a thread would only add its own latency. (A filtered one compares all that fits: 4 ms for
20,000 chunks.) Writes run in a thread, in small pieces, which leave
the loop waiting for a few milliseconds at most. `save` (0.1 s) is called rarely, and a graph is
never built here: a child process does that, in a generation of its own (`edge_builder.py`).
"""

import asyncio
import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self, TypeVar
from uuid import UUID

from anyio import CapacityLimiter, to_thread

from app.core.exceptions import IndexUnavailable, StartupError
from app.knowledge.edge_builder import BuildFailed, build_generation
from app.knowledge.edge_generation import EdgeFailure, EdgeGeneration
from app.knowledge.edge_slot import EdgeSlot
from app.knowledge.vector_index import (
    EVERYTHING,
    IndexFilter,
    IndexPoint,
    IndexSpec,
    Legs,
    Position,
    SparseVector,
    StoredPoint,
)

__all__ = ["EdgeIndex"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

# 32 points hold the GIL for 1 to 4 ms.
SLICE: Final = 32
# Saving freezes the process while the disk syncs, for 0.05 to 0.5 s; not having saved costs as much
# as applying these changes again after a crash, about a second.
SAVE_AFTER: Final = 5_000
# Changes are kept for a day at least (`compaction.py`): a crash must not make that too short.
SAVE_AFTER_SEC: Final = 3_600
# Up to here a search without a graph takes half a millisecond more; switching takes 0.2 s once.
OPTIMISE_AFTER: Final = 10_000
OPTIMISE_AFTER_SHARE: Final = 0.2
# A command on the command line is done sooner than a child has started.
FIRST_BUILD_AFTER_SEC: Final = 30
BUILD_RETRY_SEC: Final = 600
# Edge maps its files into memory and grows them by 32 MB at a time: on a full disk, touching such
# a page kills the process, so it must never come to that.
MIN_FREE_BYTES: Final = 256 * 1024 * 1024
MAX_FAILED_WRITES: Final = 3


class EdgeIndex:
    """A replica on this process's own disk."""

    def __init__(
        self,
        slot: EdgeSlot,
        spec: IndexSpec,
        generation: EdgeGeneration | None,
        *,
        database_url: str,
        optimise_after: int,
    ) -> None:
        self.spec = spec
        self.leader_lock: str | None = None
        self.replica: str | None = slot.name
        self._slot = slot
        self._database_url = database_url
        self._optimise_after = optimise_after
        # None: nothing usable, until `reset`.
        self._current = generation
        # Gets every write too, until it has caught up and takes over.
        self._successor: EdgeGeneration | None = None
        self._build: asyncio.Task[EdgeGeneration | None] | None = None
        self._next_build = asyncio.get_running_loop().time() + FIRST_BUILD_AFTER_SEC
        self._saved_at = asyncio.get_running_loop().time()
        self._failed_writes = 0
        self._broken: list[EdgeGeneration] = []
        self._thread = CapacityLimiter(1)

    @classmethod
    async def open(
        cls,
        root: Path,
        spec: IndexSpec,
        *,
        database_url: str,
        optimise_after: int = OPTIMISE_AFTER,
    ) -> Self:
        """Take the first free slot below `root`, if possible with a replica, and open that.

        `database_url` is for the child process that builds optimised generations, each time
        `optimise_after` points and a fifth of all have been written since the last.

        Raises:
            StartupError: the folder can't be used.
        """
        try:
            slot, generation = await to_thread.run_sync(_open_slot, root, spec)
        except (OSError, EdgeFailure) as error:
            raise StartupError(
                f"The vector index in {root} can't be opened ({error}). Set VAR_DIR to a folder "
                "that this user may write to, on a disk with free space."
            ) from error
        return cls(slot, spec, generation, database_url=database_url, optimise_after=optimise_after)

    async def search(
        self,
        dense: Sequence[float] | None,
        sparse: SparseVector | None,
        *,
        limit: int,
        where: IndexFilter = EVERYTHING,
    ) -> Legs:
        """Search, on the event loop (see above)."""
        if dense is not None and len(dense) != self.spec.dimensions:
            raise ValueError(f"{len(dense)} dimensions, not {self.spec.dimensions}")
        generation = self._usable()
        if generation.position is None:
            raise IndexUnavailable
        try:
            return generation.search(dense, sparse, limit=limit, where=where)
        except EdgeFailure as error:
            self._give_up(error)
            raise IndexUnavailable from error

    async def upsert(self, points: Sequence[IndexPoint]) -> None:
        """Write points in slices, so that nobody waits long."""
        _require_free_space(self._slot.folder)
        for start in range(0, len(points), SLICE):
            await self._write(EdgeGeneration.upsert, points[start : start + SLICE])

    async def delete(self, chunk_ids: Sequence[UUID]) -> None:
        """Remove points."""
        await self._write(EdgeGeneration.delete, chunk_ids)

    async def count(self) -> int:
        """Count the points exactly."""
        return await self._read(EdgeGeneration.count)

    async def scan(self, after: UUID, limit: int) -> list[StoredPoint]:
        """Return the points that follow an id, in the order of ids."""
        return await self._read(lambda generation: generation.scan(after, limit))

    async def position(self) -> Position | None:
        """Return where to go on; when a successor is to catch up, that lies further back."""
        current = self._current
        if current is None or current.position is None:
            return None
        if self._build is not None and self._build.done():
            build, self._build = self._build, None
            self._successor = build.result()
            if self._successor is not None:
                start = min(current.position, self._successor.position or current.position)
                # One more step back, to where no follower has been: so it notices, and applies
                # again even the changes that it has applied ahead of time.
                self._successor.position = Position(start.xid, -1)
        return (self._successor or current).position

    async def remember(self, position: Position, *, caught_up: bool = False) -> None:
        """Note the position; save it now and then, and optimise when that pays."""
        if self._successor is None:
            self._usable().position = position
        else:
            self._successor.position = position
            if caught_up:
                await self._switch()
        current = self._usable()
        now = asyncio.get_running_loop().time()
        if (
            current.saved is None
            or current.unsaved >= SAVE_AFTER
            or now >= self._saved_at + SAVE_AFTER_SEC
        ):
            await self._save()
            self._saved_at = now
        if self._pays_to_optimise():
            self._build = asyncio.create_task(self._build_successor())

    async def reset(self) -> None:
        """Begin an empty generation and remove the others."""
        _require_free_space(self._slot.folder)
        try:
            empty = await self._in_thread(
                lambda: EdgeGeneration.create(self._slot.new_folder(), self.spec)
            )
        except EdgeFailure as error:
            raise IndexUnavailable from error
        old = [*self._broken, self._current, self._successor]
        self._current, self._successor, self._broken = empty, None, []
        self._failed_writes = 0
        for generation in old:
            await self._discard(generation)

    async def aclose(self) -> None:
        """Save the position, close the shard and free the slot."""
        try:
            await self._end_build()
            await self._save()
            for generation in (*self._broken, self._current, self._successor):
                if generation is not None:
                    await self._in_thread(generation.close)
        except (EdgeFailure, IndexUnavailable) as error:
            logger.warning("the vector index was not saved, it will catch up later: %s", error)
        finally:
            self._slot.release()

    async def retire(self) -> None:
        """Remove the replica and free the slot."""
        try:
            await self._end_build()
            for generation in (*self._broken, self._current, self._successor):
                await self._discard(generation)
        finally:
            self._slot.release()

    async def remove_outdated(self) -> None:
        """Do nothing: nobody shares a replica."""

    async def _end_build(self) -> None:
        if self._build is not None:
            self._build.cancel()
            await asyncio.wait([self._build])

    async def _read(self, read: Callable[[EdgeGeneration], T]) -> T:
        generation = self._usable()
        try:
            return await self._in_thread(lambda: read(generation))
        except EdgeFailure as error:
            self._give_up(error)
            raise IndexUnavailable from error

    async def _write(
        self, write: Callable[[EdgeGeneration, Sequence[T]], None], items: Sequence[T]
    ) -> None:
        current = self._usable()
        try:
            await self._in_thread(lambda: write(current, items))
            self._failed_writes = 0
        except EdgeFailure as error:
            self._failed_writes += 1
            if self._failed_writes >= MAX_FAILED_WRITES:
                self._give_up(error)
            raise IndexUnavailable from error
        if (successor := self._successor) is not None:
            try:
                await self._in_thread(lambda: write(successor, items))
            except EdgeFailure as error:
                logger.warning("the optimised vector index is given up: %s", error)
                self._successor = None
                await self._discard(successor)

    async def _switch(self) -> None:
        old, self._current, self._successor = self._current, self._successor, None
        logger.info("the vector index is optimised")
        await self._discard(old)

    async def _save(self) -> None:
        current = self._current
        if current is None or current.position == current.saved:
            return
        _require_free_space(self._slot.folder)
        try:
            await self._in_thread(current.save)
        except EdgeFailure as error:
            raise IndexUnavailable from error

    def _pays_to_optimise(self) -> bool:
        return (
            self._current is not None
            and self._successor is None
            and self._build is None
            and asyncio.get_running_loop().time() >= self._next_build
            and self._current.unoptimised >= self._optimise_after
            and self._current.unoptimised_share >= OPTIMISE_AFTER_SHARE
        )

    async def _build_successor(self) -> EdgeGeneration | None:
        folder = self._slot.new_folder()
        lock = self._slot.folder.parent / "build.lock"
        try:
            await build_generation(folder, self.spec, self._database_url, lock=lock)
            return await self._in_thread(lambda: EdgeGeneration.load(folder, self.spec))
        except (BuildFailed, EdgeFailure, OSError) as error:
            # Searching goes on as it is, only slower.
            logger.warning("the vector index could not be optimised: %s", error)
            self._next_build = asyncio.get_running_loop().time() + BUILD_RETRY_SEC
            return None

    def _usable(self) -> EdgeGeneration:
        if self._current is None:
            raise IndexUnavailable
        return self._current

    def _give_up(self, error: EdgeFailure) -> None:
        logger.error("the vector index is damaged and will be rebuilt: %s", error)
        if self._current is not None:
            self._broken.append(self._current)
            self._current = None

    async def _discard(self, generation: EdgeGeneration | None) -> None:
        if generation is not None:
            with suppress(EdgeFailure):
                await self._in_thread(generation.discard)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await to_thread.run_sync(call, limiter=self._thread)


def _open_slot(root: Path, spec: IndexSpec) -> tuple[EdgeSlot, EdgeGeneration | None]:
    slot = EdgeSlot.take_with_replica(root, spec) or EdgeSlot.take(root)
    try:
        return slot, slot.open_newest(spec)
    except BaseException:
        slot.release()
        raise


def _require_free_space(folder: Path) -> None:
    if shutil.disk_usage(folder).free < MIN_FREE_BYTES:
        raise IndexUnavailable("The disk that holds the vector index is full.")
