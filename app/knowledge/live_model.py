"""The embedding model that a running process answers with, replaced when the knowledge base's is.

A reindex ends with one transaction, which no process hears of; so each one looks. It loads the new
model and builds an index of its vectors beside the old one, while questions go on being answered
with the old. When the new index has everything, the next question goes to it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from app.core.database import Database, Queries
from app.core.exceptions import AppError, DatabaseUnavailable, IndexUnavailable, StartupError
from app.knowledge.embedding import Embedder
from app.knowledge.follower import Follower
from app.knowledge.retrieval import Retriever
from app.knowledge.vector_index import VectorIndex

__all__ = ["IndexedModel", "LiveModel"]

logger = logging.getLogger(__name__)

POLL_SEC: Final = 2.0
# Checking a model's files takes a second.
RETRY_SEC: Final = 10.0
LOOK_SEC: Final = 0.2


@dataclass(frozen=True, slots=True)
class IndexedModel:
    """A model in memory, and the index of its vectors with what keeps it up to date."""

    embedder: Embedder
    index: VectorIndex
    follower: Follower

    @property
    def name(self) -> str:
        """Name the model."""
        return self.embedder.model_name

    async def aclose(self) -> None:
        """Let go of the index until the next start."""
        await self.follower.aclose()
        await self.index.aclose()

    async def retire(self) -> None:
        """Let go of the index for good."""
        await self.follower.aclose()
        await self.index.retire()


class LiveModel:
    """The model that questions are answered with."""

    def __init__(
        self,
        database: Database,
        retriever: Retriever,
        current: IndexedModel,
        open_model: Callable[[str], Awaitable[IndexedModel]],
    ) -> None:
        """Begin with `current`; `open_model` loads another one and begins to build its index."""
        self.current = current
        # Why the knowledge base's own model is not used yet; None: it is.
        self.problem: str | None = None
        self._database = database
        self._retriever = retriever
        self._open = open_model
        self._task: asyncio.Task[None] | None = None
        self._replacement: asyncio.Task[None] | None = None
        # As last seen: it tells of a switch and another one back.
        self._switched_at: datetime | None = None
        self._tidied = False

    async def similarities(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return the cosine of a query with each of some short texts."""
        return await self.current.embedder.similarities(query, texts)

    def start(self) -> None:
        """Look for another model from now on."""
        self._task = asyncio.create_task(self._watch())

    async def aclose(self) -> None:
        """Stop looking, and let go of the model."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._replacement is not None:
            # Should it have failed, the watching task has told so.
            await asyncio.wait([self._replacement])
        await self.current.aclose()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_SEC if self.problem is None else RETRY_SEC)
            try:
                await self._look()
            except (DatabaseUnavailable, IndexUnavailable):
                # Those parts tell it themselves.
                continue
            except (AppError, StartupError) as error:
                self._note(str(error))
            except Exception as error:
                # Nothing may end this task unnoticed.
                self._note(type(error).__name__)
                logger.exception("the embedding model could not be replaced, trying again")

    async def _look(self) -> None:
        wanted = await self._database.run_statement(_find_wanted)
        if wanted is None:
            return
        if wanted.model != self.current.name:
            await self._switch_to(wanted.model)
        else:
            self.problem = None
            if wanted.switched_at != self._switched_at:
                # What was stored while another model was there has its vectors since the switch,
                # of which no change tells.
                self.current.follower.distrust()
            elif wanted.switched_at is None:
                await self._tidy()
        self._switched_at = wanted.switched_at

    async def _tidy(self) -> None:
        """Remove shared indexes of other models, once in each time of leading.

        As long as their vectors are kept, other processes may not have switched yet.
        """
        leading = self.current.follower.status.leading
        if leading and not self._tidied:
            await self.current.index.remove_outdated()
        self._tidied = leading

    async def _switch_to(self, name: str) -> None:
        new = await self._open(name)
        try:
            while new.follower.status.caught_up_sec_ago is None:
                self.problem = new.follower.status.error or "Its index is being built."
                wanted = await self._database.run_statement(_find_wanted)
                if wanted is None or wanted.model != name:
                    await new.retire()
                    return
                await asyncio.sleep(LOOK_SEC)
        except BaseException:
            await new.aclose()
            raise
        # Whoever closes this waits for it: nothing may stay open.
        self._replacement = asyncio.create_task(self._replace_with(new))
        await asyncio.shield(self._replacement)

    async def _replace_with(self, new: IndexedModel) -> None:
        old, self.current = self.current, new
        self.problem = None
        self._tidied = False
        logger.info("questions are answered with the embedding model %s now", new.name)
        await self._retriever.replace(new.embedder, new.index)
        await old.retire()

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            logger.error(
                "the embedding model can't be replaced yet, questions are answered with %s: %s",
                self.current.name,
                problem,
            )
        self.problem = problem


class _Wanted(NamedTuple):
    model: str
    switched_at: datetime | None


def _find_wanted(queries: Queries) -> _Wanted | None:
    row = queries.find_model()
    return None if row is None else _Wanted(row["model"], row["switched_at"])
