"""Following runs as events, any number of readers together: one statement looks at all of them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import contextmanager
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Request

from app.accounts.models import Caller
from app.core.database import Database, Queries
from app.core.exceptions import AppError
from app.core.handlers import error_response
from app.core.streaming import event
from app.knowledge.ingestions.models import Ingestion
from app.knowledge.ingestions.services import LINES_AT_ONCE, look

__all__ = ["RunWatch", "RunWatchDep"]

logger = logging.getLogger(__name__)

POLL_SEC: Final = 0.5


class _Watched:
    """A run, as long as somebody follows it."""

    def __init__(self) -> None:
        self.readers = 0
        # None until it was looked at, which is a change as well: a reader may have looked before.
        self.version: str | None = None
        self.problem: AppError | None = None
        self.changed = asyncio.Event()

    def note(self) -> None:
        """Wake whoever waits for a change."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class RunWatch:
    """Looks twice a second which runs have changed of all that are followed in this process.

    Only then their readers look what they may see, each for itself.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watched: dict[UUID, _Watched] = {}
        self._looking: asyncio.Task[None] | None = None

    async def follow(
        self, caller: Caller, ingestion_id: UUID, *, after: int
    ) -> AsyncGenerator[bytes]:
        """Yield a run's lines and progress as events.

        It ends with the run, or when the caller may not read it any more.
        """
        shown: Ingestion | None = None
        with self._watch(ingestion_id) as run:
            while run.problem is None:
                # Before looking: whatever comes later sets this one.
                changed = run.changed
                try:
                    current, lines = await self._database.run(look, caller, ingestion_id, after)
                except AppError as error:
                    yield event("error", error_response(error).error)
                    return
                for line in lines:
                    after = line.id
                    yield event("log", line, event_id=str(line.id))
                if current != shown:
                    shown = current
                    yield event("progress", current)
                if len(lines) == LINES_AT_ONCE:
                    continue
                if current.finished_at is not None:
                    yield event("done", current)
                    return
                await changed.wait()
            yield event("error", error_response(run.problem).error)

    @contextmanager
    def _watch(self, ingestion_id: UUID) -> Iterator[_Watched]:
        run = self._watched.setdefault(ingestion_id, _Watched())
        run.readers += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield run
        finally:
            run.readers -= 1
            if not run.readers and self._watched.get(ingestion_id) is run:
                del self._watched[ingestion_id]
            if not self._watched and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(POLL_SEC)
            asked = list(self._watched)
            try:
                versions = await self._database.run_statement(_versions, asked)
            except AppError as error:
                # Logged where it happened. They come back, as after every error.
                for ingestion_id in asked:
                    self._give_up(ingestion_id, error)
                continue
            except Exception:
                logger.exception("runs that are followed could not be looked at; trying again")
                continue
            for ingestion_id in asked:
                self._compare(ingestion_id, versions.get(ingestion_id, "gone"))

    def _compare(self, ingestion_id: UUID, version: str) -> None:
        run = self._watched.get(ingestion_id)
        if run is not None and run.version != version:
            run.version = version
            run.note()

    def _give_up(self, ingestion_id: UUID, problem: AppError) -> None:
        # Whoever follows it from now on is not told of an outage that may be over.
        run = self._watched.pop(ingestion_id, None)
        if run is not None:
            run.problem = problem
            run.note()


async def _run_watch(request: Request) -> RunWatch:
    watch: RunWatch = request.state.resources.run_watch
    return watch


RunWatchDep = Annotated[RunWatch, Depends(_run_watch)]


def _versions(queries: Queries, ingestion_ids: Collection[UUID]) -> dict[UUID, str]:
    rows = queries.list_ingestion_versions(ids=f"{{{','.join(map(str, ingestion_ids))}}}")
    return {row["id"]: row["version"] for row in rows}
