"""An answer in the making: from what the language model streams to what is stored in the end."""

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import anyio
from anyio import to_thread

from app.chat.answers import Draft, Prepared, StoredAnswer, nothing_found
from app.chat.constants import MessageStatus
from app.chat.exceptions import PostProcessingFailed
from app.chat.markers import MarkerFilter
from app.chat.models import Chunk, Done, Started, TokenUsage
from app.chat.streaming import ChatEvent, citations_event, error_event, sources_event
from app.core.exceptions import AppError, UpstreamFailed
from app.core.llm import EMPTY_ANSWER, AnswerStream
from app.core.metrics import ANSWERS, CITATIONS
from app.core.stages import stage
from app.core.tasks import uninterrupted

__all__ = ["NOTHING_FOUND", "SAVING_SEC", "Generation", "Upstream", "read_markers"]

logger = logging.getLogger(__name__)

SAVING_SEC: Final = 10
# Reading so many characters takes less than going to a thread and back.
SMALL_DELTA: Final = 1_000
# How an answer ended, to metrics, that says that there are no passages.
NOTHING_FOUND: Final = "nothing_found"

# Stores an answer together with the last events that are made from it, `None` where there is no
# text to store; and returns both.
LastEvents = Callable[[StoredAnswer | None], Sequence[ChatEvent]]
Save = Callable[
    [Prepared, Draft | None, LastEvents], Awaitable[tuple[StoredAnswer | None, list[ChatEvent]]]
]


@dataclass(frozen=True, slots=True)
class Upstream:
    """A language model's stream, and the stages that began with it."""

    stream: AnswerStream
    first_token: stage
    generation: stage


class Generation:
    """Streams one answer; whoever reads `events` to its end, or closes it, has it stored.

    Afterwards `stored` is the answer, `failure` what went wrong, and `last_events` what ended it:
    a reader who has closed `events` did not get them. `has_ended` tells that PostgreSQL knows.
    """

    def __init__(self, prepared: Prepared, upstream: Upstream | None, save: Save) -> None:
        self.prepared = prepared
        self.stored: StoredAnswer | None = None
        self.failure: AppError | None = None
        self.last_events: list[ChatEvent] = []
        self.has_ended = False
        self._upstream = upstream
        self._save = save

    async def events(self) -> AsyncGenerator[ChatEvent]:
        """Yield the answer's events."""
        question = self.prepared.question
        if question.is_resumable:
            yield ChatEvent.of(
                "started",
                Started(id=question.answer_id, question_id=question.id, chat_id=question.chat_id),
            )
        if self._upstream is None:
            # Stored first: the reader may leave at any of these.
            await self._end(nothing_found(self.prepared))
        else:
            async with aclosing(self._generate(self._upstream)) as generating:
                async for one in generating:
                    yield one
        for one in self.last_events:
            yield one

    async def close(self) -> None:
        """End the upstream call, if there is one."""
        if self._upstream is not None:
            await self._upstream.stream.close()

    async def _generate(self, upstream: Upstream) -> AsyncGenerator[ChatEvent]:
        """Yield sources and text; keep what there is, however the stream ends."""
        answer_id = self.prepared.question.answer_id
        stream = upstream.stream
        markers = _markers(self.prepared)
        pieces: list[str] = []
        finish_reason = None
        status = MessageStatus.CANCELLED
        try:
            if self.prepared.grounding is not None:
                yield sources_event(self.prepared.sources)
            async for delta in stream:
                upstream.first_token.end()
                content = await _feed(markers, delta.content)
                if delta.finish_reason:
                    content += markers.finish()
                    finish_reason = delta.finish_reason
                pieces.append(content)
                if content or delta.finish_reason:
                    yield _message(answer_id, stream.model, content, delta.finish_reason)
            if not any(piece.strip() for piece in pieces):
                raise UpstreamFailed(details={"reason": EMPTY_ANSWER})  # noqa: TRY301 -- as any other
            status = MessageStatus.COMPLETE
        except Exception as error:  # noqa: BLE001 -- after the first byte every failure is an event
            status = MessageStatus.FAILED
            self.failure = _reported(error)
        finally:
            # Reached too when the reader has left, which cancels this generator.
            upstream.generation.end(failed=status is MessageStatus.FAILED)
            pieces.append(markers.finish())
            CITATIONS.labels("dropped").inc(markers.dropped)
            draft = Draft(
                answer_id, "".join(pieces), stream.model, status, finish_reason, stream.usage
            )
            await self._end(draft)

    async def _end(self, draft: Draft) -> None:
        """Store the answer, or that there is none; who leaves or cancels now has come too late."""
        await uninterrupted(self._end_in_time(draft))

    async def _end_in_time(self, draft: Draft) -> None:
        with anyio.move_on_after(SAVING_SEC):
            await self.close()
        is_empty = draft.status is not MessageStatus.COMPLETE and not draft.text
        problem: AppError = PostProcessingFailed()
        with anyio.move_on_after(SAVING_SEC):
            try:
                self.stored, self.last_events = await self._save(
                    self.prepared, None if is_empty else draft, self._last_events
                )
                self.has_ended = True
            except AppError as error:
                problem = error
        self._count(draft)
        if not self.has_ended:
            self.failure = self.failure or problem
            self.last_events = [error_event(self.failure)]

    def _count(self, draft: Draft) -> None:
        status = NOTHING_FOUND if self._upstream is None else draft.status.value
        ANSWERS.labels(status if self.has_ended else MessageStatus.FAILED.value).inc()

    def _last_events(self, stored: StoredAnswer | None) -> list[ChatEvent]:
        if self.failure is not None:
            return [error_event(self.failure)]
        if stored is None:
            return [self._done(MessageStatus.CANCELLED, self.prepared.model, TokenUsage())]
        draft = stored.draft
        events = [self._done(draft.status, draft.model, stored.usage)]
        if self.prepared.grounding is not None:
            events.insert(0, citations_event(stored.citations))
        if self._upstream is None:
            text = _message(draft.id, draft.model, draft.text, draft.finish_reason)
            events = [sources_event([]), text, *events]
        return events

    def _done(self, status: MessageStatus, model: str, usage: TokenUsage) -> ChatEvent:
        answer_id = self.prepared.question.answer_id
        return ChatEvent.of("done", Done(id=answer_id, model=model, status=status, usage=usage))


class _Verbatim:
    """In place of a `MarkerFilter` where no documents are cited."""

    dropped = 0

    def feed(self, delta: str) -> str:
        return delta

    def finish(self) -> str:
        return ""


def read_markers(prepared: Prepared, text: str) -> str:
    """Return an answer without the markers that point to no passage."""
    markers = _markers(prepared)
    read = markers.feed(text) + markers.finish()
    CITATIONS.labels("dropped").inc(markers.dropped)
    return read


async def _feed(markers: MarkerFilter | _Verbatim, delta: str) -> str:
    if len(delta) <= SMALL_DELTA:
        return markers.feed(delta)
    return await to_thread.run_sync(markers.feed, delta)


def _markers(prepared: Prepared) -> MarkerFilter | _Verbatim:
    return _Verbatim() if prepared.grounding is None else MarkerFilter(len(prepared.sources))


def _message(answer_id: UUID, model: str, content: str, finish_reason: str | None) -> ChatEvent:
    chunk = Chunk(
        id=answer_id,
        created=int(time.time()),
        model=model,
        content=content,
        finish_reason=finish_reason,
    )
    return ChatEvent.of("message", chunk)


def _reported(error: Exception) -> AppError:
    if isinstance(error, AppError):
        return error
    logger.error("a stream failed", exc_info=error)
    return AppError()
