"""From a question to a stored, grounded answer, at once or as a stream."""

import asyncio
import dataclasses
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from uuid import UUID, uuid4

import anyio
from anyio import to_thread

from app.accounts.models import Caller, Level
from app.chat.answers import (
    Draft,
    Prepared,
    StoredAnswer,
    StoredQuestion,
    citable,
    nothing_found,
    store_answer,
)
from app.chat.budget import TokenBudget
from app.chat.citations import check
from app.chat.constants import MessageStatus
from app.chat.exceptions import PostProcessingFailed, UnknownModel
from app.chat.grounding import Grounder, Grounding, prompt_passage
from app.chat.markers import MarkerFilter
from app.chat.models import (
    Answer,
    AnswerWithSources,
    Chunk,
    Done,
    MessageRequest,
    QuestionRequest,
)
from app.chat.prompts import Background, completion_messages, message_text, question_messages
from app.chat.streaming import citations_event, sources_event
from app.core.database import Database, Queries
from app.core.exceptions import AppError, InvalidRequest, UpstreamFailed
from app.core.handlers import error_response
from app.core.llm import EMPTY_ANSWER, LLM, AnswerStream
from app.core.streaming import event

__all__ = ["ChatService"]

logger = logging.getLogger(__name__)

SAVING_SEC = 10
# Reading so many characters takes less than going to a thread and back.
SMALL_DELTA = 1_000


class ChatService:
    """Answers questions, with the documents or without, and keeps both sides."""

    def __init__(
        self,
        database: Database,
        grounder: Grounder,
        budget: TokenBudget,
        llm: LLM,
        *,
        models: Sequence[str],
        max_message_characters: int,
    ) -> None:
        self._database = database
        self._grounder = grounder
        self._budget = budget
        self._llm = llm
        self._models = models
        self._max_message_characters = max_message_characters
        self._open_streams = 0
        self._no_open_stream = asyncio.Event()

    async def aclose(self) -> None:
        """Wait until the answers of streams that were cut off are stored."""
        with anyio.move_on_after(SAVING_SEC):
            if self._open_streams:
                await self._no_open_stream.wait()

    async def complete(self, request: MessageRequest, caller: Caller) -> Answer:
        """Pass the message to the language model as it is."""
        prepared = await self._prepare_completion(request, caller)
        return (await self._answer(prepared)).to_answer()

    async def ask(self, request: QuestionRequest, caller: Caller) -> AnswerWithSources:
        """Answer from the documents that the caller may read, or from a selected text."""
        return await self._answer_with_sources(await self._prepare_question(request, caller))

    async def answer(self, prepared: Prepared) -> AnswerWithSources:
        """Answer a question whose passages are known.

        Raises:
            InvalidRequest: they no longer fit into the context window.
        """
        await self._budget.check("".join(map(message_text, prepared.messages or ())))
        return await self._answer_with_sources(prepared)

    async def _answer_with_sources(self, prepared: Prepared) -> AnswerWithSources:
        stored = await self._answer(prepared)
        return AnswerWithSources(
            **dict(stored.to_answer()), sources=prepared.sources, citations=stored.citations
        )

    def model_or_default(self, model: str) -> str:
        """Return a model that was asked for once, if it is still allowed."""
        return model if model in self._models else self._models[0]

    async def stream_completion(
        self, request: MessageRequest, caller: Caller
    ) -> AsyncGenerator[bytes]:
        """The same as `complete`, as encoded events; what fails early raises here."""
        return await self._stream(await self._prepare_completion(request, caller))

    async def stream_answer(
        self, request: QuestionRequest, caller: Caller
    ) -> AsyncGenerator[bytes]:
        """The same as `ask`, as encoded events; what fails early raises here."""
        return await self._stream(await self._prepare_question(request, caller))

    async def _prepare_completion(self, request: MessageRequest, caller: Caller) -> Prepared:
        model = self._check(request)
        await self._budget.check(request.message)
        question = await self._store_question(model, request, caller)
        return Prepared(question, model, completion_messages(question.text), grounding=None)

    async def _prepare_question(self, request: QuestionRequest, caller: Caller) -> Prepared:
        model = self._check(request)
        room = await self._budget.room_beside(request.message)
        # The two don't need each other; the question is kept whatever becomes of the search.
        question, grounding = await asyncio.gather(
            self._store_question(model, request, caller),
            self._grounder.ground(request, room, caller),
        )
        return prepare(question, model, grounding)

    async def _store_question(
        self, model: str, request: MessageRequest, caller: Caller
    ) -> StoredQuestion:
        return await self._database.run_statement(
            _insert_question, caller.account_id, model, request.message
        )

    def _check(self, request: MessageRequest) -> str:
        """Return the model to use."""
        if len(request.message) > self._max_message_characters:
            raise InvalidRequest(
                f"message: must not be longer than {self._max_message_characters} characters",
                details={"characters": len(request.message)},
            )
        if request.model is None:
            return self._models[0]
        if request.model not in self._models:
            raise UnknownModel(
                f"model: must be one of {', '.join(self._models)}",
                details={"allowed": list(self._models)},
            )
        return request.model

    async def _answer(self, prepared: Prepared) -> StoredAnswer:
        if prepared.messages is None:
            return await self._save(prepared, nothing_found(prepared.model))
        completion = await self._llm.complete(prepared.messages, prepared.model)
        # A long answer takes longer to read than others should wait.
        text = await to_thread.run_sync(_read_markers, prepared, completion.text)
        if not text.strip():
            raise UpstreamFailed(details={"reason": EMPTY_ANSWER})
        draft = Draft(
            uuid4(),
            text,
            completion.model,
            MessageStatus.COMPLETE,
            completion.finish_reason,
            completion.usage,
        )
        return await self._save(prepared, draft)

    async def _save(self, prepared: Prepared, draft: Draft) -> StoredAnswer:
        try:
            if not prepared.sources:
                return await self._database.run_statement(store_answer, prepared, draft)
            cited = await to_thread.run_sync(check, draft.text, citable(prepared.sources))
            draft = dataclasses.replace(draft, cited=cited)
            if not cited:
                return await self._database.run_statement(store_answer, prepared, draft)
            return await self._database.run(store_answer, prepared, draft)
        except Exception as error:
            logger.exception("an answer could not be stored")
            raise PostProcessingFailed from error

    async def _stream(self, prepared: Prepared) -> AsyncGenerator[bytes]:
        if prepared.messages is None:
            return self._nothing_found_events(prepared)
        upstream = await self._llm.stream(prepared.messages, prepared.model)
        events = self._events(prepared, upstream)
        # A generator that has not begun would not close the upstream call when it is closed.
        await anext(events)
        return events

    async def _nothing_found_events(self, prepared: Prepared) -> AsyncGenerator[bytes]:
        draft = nothing_found(prepared.model)
        # Stored first: the reader may leave at any of these.
        last_events = await self._last_events(prepared, draft)
        yield sources_event([])
        yield event("message", _chunk(draft.id, draft.model, draft.text, draft.finish_reason))
        for last in last_events:
            yield last

    async def _events(self, prepared: Prepared, upstream: AnswerStream) -> AsyncGenerator[bytes]:
        """Yield `b""`, then the answer's events; keep what there is, however the stream ends."""
        answer_id = uuid4()
        markers = _markers(prepared)
        pieces: list[str] = []
        finish_reason = None
        status = MessageStatus.CANCELLED
        failure = b""
        saved_events = [event("error", error_response(PostProcessingFailed()).error)]
        self._open_streams += 1
        self._no_open_stream.clear()
        try:
            yield b""
            if prepared.grounding is not None:
                yield sources_event(prepared.sources)
            async for delta in upstream:
                content = await _feed(markers, delta.content)
                if delta.finish_reason:
                    content += markers.finish()
                    finish_reason = delta.finish_reason
                pieces.append(content)
                if content or delta.finish_reason:
                    yield event(
                        "message",
                        _chunk(answer_id, upstream.model, content, delta.finish_reason),
                    )
            if not any(piece.strip() for piece in pieces):
                raise UpstreamFailed(details={"reason": EMPTY_ANSWER})  # noqa: TRY301 -- as any other
            status = MessageStatus.COMPLETE
        except Exception as error:  # noqa: BLE001 -- after the first byte every failure is an event
            status = MessageStatus.FAILED
            failure = event("error", error_response(_reported(error)).error)
        finally:
            # Reached too when the reader has left, which cancels this generator.
            with anyio.move_on_after(SAVING_SEC, shield=True):
                await upstream.close()
                draft = Draft(
                    answer_id,
                    "".join(pieces) + markers.finish(),
                    upstream.model,
                    status,
                    finish_reason,
                    upstream.usage,
                )
                saved_events = await self._last_events(prepared, draft)
            self._open_streams -= 1
            if not self._open_streams:
                self._no_open_stream.set()
        for last in [failure] if failure else saved_events:
            yield last

    async def _last_events(self, prepared: Prepared, draft: Draft) -> list[bytes]:
        """Store the answer; return `citations` and `done`, or `error` if it could not be stored."""
        if draft.status is not MessageStatus.COMPLETE and not draft.text:
            return []
        try:
            stored = await self._save(prepared, draft)
        except PostProcessingFailed as error:
            return [event("error", error_response(error).error)]
        done = event("done", Done(id=draft.id, model=draft.model, usage=stored.usage))
        if prepared.grounding is None:
            return [done]
        return [citations_event(stored.citations), done]


def prepare(
    question: StoredQuestion, model: str, grounding: Grounding, *, replay_of: UUID | None = None
) -> Prepared:
    """Put a question and its passages into a prompt; without passages there is nothing to ask."""
    passages = [prompt_passage(source) for source in grounding.sources]
    messages = question_messages(question.text, passages, question.background) if passages else None
    return Prepared(question, model, messages, grounding, replay_of)


class _Verbatim:
    """In place of a `MarkerFilter` where no documents are cited."""

    def feed(self, delta: str) -> str:
        return delta

    def finish(self) -> str:
        return ""


def _read_markers(prepared: Prepared, text: str) -> str:
    markers = _markers(prepared)
    return markers.feed(text) + markers.finish()


async def _feed(markers: MarkerFilter | _Verbatim, delta: str) -> str:
    if len(delta) <= SMALL_DELTA:
        return markers.feed(delta)
    return await to_thread.run_sync(markers.feed, delta)


def _markers(prepared: Prepared) -> MarkerFilter | _Verbatim:
    return _Verbatim() if prepared.grounding is None else MarkerFilter(len(prepared.sources))


def _reported(error: Exception) -> AppError:
    if isinstance(error, AppError):
        return error
    logger.error("a stream failed", exc_info=error)
    return AppError()


def _chunk(answer_id: UUID, model: str, content: str, finish_reason: str | None) -> Chunk:
    return Chunk(
        id=answer_id,
        created=int(time.time()),
        model=model,
        content=content,
        finish_reason=finish_reason,
    )


def _insert_question(
    queries: Queries, account_id: UUID, model: str, message: str
) -> StoredQuestion:
    row = queries.insert_question(account_id=account_id, model=model, message=message)
    software, hardware = row["software_background"], row["hardware_background"]
    background = Background(
        Level(software) if software else None, Level(hardware) if hardware else None
    )
    return StoredQuestion(row["id"], account_id, message, background)
