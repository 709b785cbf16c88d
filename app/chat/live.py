"""Answers that are made whether anybody reads them or not, and whose events PostgreSQL keeps.

Each is made by a task of its own. Its events go into PostgreSQL in batches, those of all answers of
this process together, and only then to readers: what a reader has seen is never lost, even if this
process dies, and can be read again from any other.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar
from uuid import UUID

from app.chat.answers import StoredQuestion
from app.chat.exceptions import PostProcessingFailed
from app.chat.generating import SAVING_SEC, Generation
from app.chat.streaming import ChatEvent, error_event
from app.chat.turns import Asked, Ending, abandon_turn, give_up
from app.core.database import Database, Queries, StatementFailed
from app.core.exceptions import AppError, DatabaseUnavailable, ServerStopping

__all__ = ["LiveAnswer", "LiveAnswers"]

logger = logging.getLogger(__name__)

# Between two batches: what comes meanwhile goes into the next one.
BATCH_SEC: Final = 0.02
# How often PostgreSQL is asked whether somebody wants an answer stopped.
CHECK_SEC: Final = 0.25
# How often answers are looked for whose process has died, and events that are no longer kept.
TIDY_SEC: Final = 30
# After PostgreSQL could not be reached.
RETRY_SEC: Final = 1

T = TypeVar("T")
A = TypeVar("A", bound=Asked)


class LiveAnswer:
    """One answer in the making, and who in this process reads it."""

    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        self.id: Final[UUID] = generation.prepared.question.answer_id
        self.events: list[ChatEvent] = []
        # how many of the events are in PostgreSQL
        self.written = 0
        self.has_begun = False
        self.is_cancelled = False
        self.has_ended = False
        self.task: asyncio.Task[None] | None = None
        self._readers = 0
        self._left_at = asyncio.get_running_loop().time()
        self._changed = asyncio.Event()

    @property
    def unread_sec(self) -> float:
        """For how long nobody in this process has read it."""
        return 0 if self._readers else asyncio.get_running_loop().time() - self._left_at

    async def read(self, after: int = 0) -> AsyncGenerator[bytes]:
        """Yield the encoded events behind a number, until the last one."""
        self._readers += 1
        try:
            while True:
                # Before the events: whatever comes later sets this one.
                changed, has_ended, written = self._changed, self.has_ended, self.written
                for number in range(after + 1, written + 1):
                    yield self.events[number - 1].encode(number)
                after = max(after, written)
                if has_ended:
                    break
                await changed.wait()
        finally:
            self._readers -= 1
            self._left_at = asyncio.get_running_loop().time()

    async def ended(self) -> None:
        """Wait until it has ended, as a reader."""
        async with aclosing(self.read()) as events:
            async for _ in events:
                pass

    async def drained(self) -> None:
        """Wait until all of its events are in PostgreSQL."""
        while self.written < len(self.events):
            await self._changed.wait()

    def cancel(self) -> None:
        """Stop it; what there is of it is kept."""
        # A task that is cancelled before it begins would not even close what it holds.
        if self.has_begun and not self.is_cancelled and self.task is not None:
            self.task.cancel()
        self.is_cancelled = True

    def note(self) -> None:
        """Wake whoever waits for a change."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class LiveAnswers:
    """All answers that this process makes for whoever may come back to them."""

    def __init__(self, database: Database, process_id: UUID, *, resume_sec: float) -> None:
        self.process_id: Final = process_id
        self._database = database
        self._resume_sec = resume_sec
        self._live: dict[UUID, LiveAnswer] = {}
        # What is over, but could not be ended in PostgreSQL yet.
        self._unended: dict[UUID, Ending] = {}
        self._has_work = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to write events, and to look after answers that nobody makes any more."""
        self._tasks = [
            asyncio.create_task(work()) for work in (self._write, self._watch, self._tidy)
        ]

    async def aclose(self) -> None:
        """Stop all answers and keep what there is of them."""
        making = [live.task for live in self._live.values() if live.task is not None]
        for live in self._live.values():
            live.generation.failure = ServerStopping()
            live.cancel()
        if making:
            await asyncio.wait(making, timeout=SAVING_SEC)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def find(self, answer_id: UUID) -> LiveAnswer | None:
        """Return an answer that this process is making."""
        return self._live.get(answer_id)

    def begin(self, generation: Generation) -> LiveAnswer:
        """Make an answer from now on, read or not."""
        live = LiveAnswer(generation)
        self._live[live.id] = live
        live.task = asyncio.create_task(self._make(live))
        return live

    async def begin_turn(self, begin: Callable[[Queries, A], T], asked: A) -> T:
        """Begin a turn in PostgreSQL; what may have begun although nobody was told ends again."""
        beginning = asyncio.create_task(self._database.run(begin, asked))
        ending = Ending(asked.answer_id, asked.claim)

        def end(done: asyncio.Task[T]) -> None:
            # Looked at, so that nobody complains that a failure was not.
            _ = done.cancelled() or done.exception()
            self.end_soon(ending)

        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            beginning.add_done_callback(end)
            raise
        except DatabaseUnavailable:
            self.end_soon(ending)
            raise

    @asynccontextmanager
    async def ended_on_failure(self, question: StoredQuestion) -> AsyncGenerator[None]:
        """Let everybody know when what stands in the block fails, so that nobody waits for it."""
        try:
            yield
        except AppError as error:
            await self._end(question, error)
            raise
        except BaseException:
            self._end_question_soon(question, AppError())
            raise

    def end_soon(self, ending: Ending) -> None:
        """Let everybody know before long that an answer has ended which was not stored."""
        self._unended[ending.answer_id] = ending

    async def drained(self, answer_id: UUID) -> int:
        """Wait until all events of an answer so far are kept; return how many there are."""
        live = self._live.get(answer_id)
        if live is None:
            return 0
        await live.drained()
        return live.written

    async def _end(self, question: StoredQuestion, error: AppError) -> None:
        if not question.is_open:
            return
        try:
            await self._database.run(abandon_turn, _ending(question, error))
        except BaseException as problem:
            self._end_question_soon(question, error)
            if not isinstance(problem, AppError):
                raise

    def _end_question_soon(self, question: StoredQuestion, error: AppError) -> None:
        if question.is_open:
            self.end_soon(_ending(question, error))

    async def _make(self, live: LiveAnswer) -> None:
        generation = live.generation
        if live.is_cancelled and live.task is not None:
            live.task.cancel()
        live.has_begun = True
        try:
            async with aclosing(generation.events()) as events:
                async for one in events:
                    if generation.last_events:
                        # PostgreSQL has these already.
                        break
                    live.events.append(one)
                    self._has_work.set()
        except asyncio.CancelledError:
            # Somebody has stopped it; what there is was kept before this was raised.
            pass
        except Exception:
            logger.exception("an answer broke off")
        finally:
            last_events = generation.last_events or [error_event(PostProcessingFailed())]
            live.events.extend(last_events)
            if not generation.has_ended:
                claim = generation.prepared.question.claim
                unwritten = live.events[live.written :]
                self.end_soon(Ending(live.id, claim, live.written + 1, unwritten))
            live.written = len(live.events)
            live.has_ended = True
            del self._live[live.id]
            live.note()

    async def _write(self) -> None:
        """Write events as they come, those of all answers together."""
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            batches = [
                (live, live.written + 1, live.events[live.written :])
                for live in self._live.values()
                if live.written < len(live.events)
            ]
            if batches:
                try:
                    open_ids = await self._database.run_statement(_insert_events, batches)
                except Exception as error:  # noqa: BLE001 -- whatever it is, others need this
                    _log("events could not be kept; trying again", error)
                    self._has_work.set()
                    await asyncio.sleep(RETRY_SEC)
                    continue
                for live, number, events in batches:
                    if live.id in open_ids:
                        live.written = max(live.written, number + len(events) - 1)
                    else:
                        # Its chat or its account is gone, or somebody has taken this process for
                        # dead and ended it: whoever reads gets what is kept, and no more.
                        del live.events[live.written :]
                        live.cancel()
                    live.note()
            await asyncio.sleep(BATCH_SEC)

    async def _watch(self) -> None:
        """Stop what nobody wants any more; end what has not been ended."""
        while True:
            await asyncio.sleep(CHECK_SEC)
            try:
                if making := list(self._live.values()):
                    rows = await self._database.run_statement(_check, [one.id for one in making])
                    for live in making:
                        self._stop_if_unwanted(live, rows.get(live.id))
                for ending in list(self._unended.values()):
                    await self._end_now(ending)
            except Exception as error:  # noqa: BLE001 -- whatever it is, others need this
                _log("answers in the making could not be looked after; trying again", error)
                await asyncio.sleep(RETRY_SEC)

    async def _end_now(self, ending: Ending) -> None:
        try:
            await self._database.run(abandon_turn, ending)
        except StatementFailed:
            logger.exception("an answer could not be ended")
            if ending.events:
                # Without what it can't keep, it will be.
                self.end_soon(replace(ending, events=()))
                return
        del self._unended[ending.answer_id]

    def _stop_if_unwanted(self, live: LiveAnswer, row: Mapping[str, Any] | None) -> None:
        # Without a row its chat or its account is gone.
        if (
            row is None
            or row["cancel_requested"]
            or min(live.unread_sec, row["unread_sec"]) > self._resume_sec
        ):
            live.cancel()

    async def _tidy(self) -> None:
        while True:
            try:
                await self._database.run_statement(_delete_expired)
                for answer_id in await self._database.run_statement(
                    _find_abandoned, self.process_id
                ):
                    await self._give_up(answer_id)
            except Exception as error:  # noqa: BLE001 -- whatever it is, others need this
                _log("answers whose process has died could not be looked for", error)
            await asyncio.sleep(TIDY_SEC)

    async def _give_up(self, answer_id: UUID) -> None:
        try:
            await self._database.run(give_up, answer_id, self.process_id)
        except StatementFailed:
            logger.exception("an answer whose process has died could not be ended")


def _ending(question: StoredQuestion, error: AppError) -> Ending:
    events = [error_event(error)] if question.is_resumable else []
    return Ending(question.answer_id, question.claim, events=events)


def _log(problem: str, error: Exception) -> None:
    if isinstance(error, AppError):
        # What is unavailable was logged where it was found to be.
        logger.warning(problem)
    else:
        logger.error(problem, exc_info=error)


def _insert_events(
    queries: Queries, batches: Sequence[tuple[LiveAnswer, int, list[ChatEvent]]]
) -> set[UUID]:
    """Store events; return the answers that are still wanted."""
    given = [
        {"id": str(live.id), "number": number, "events": events} for live, number, events in batches
    ]
    return {row["id"] for row in queries.insert_events(batches=json.dumps(given))}


def _check(queries: Queries, ids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
    rows = queries.check_generations(ids=f"{{{','.join(map(str, ids))}}}")
    return {row["id"]: row for row in rows}


def _find_abandoned(queries: Queries, process_id: UUID) -> list[UUID]:
    rows = queries.list_abandoned_generations(process_id=process_id)
    return [row["id"] for row in rows]


def _delete_expired(queries: Queries) -> None:
    queries.delete_expired_generations()
