"""From a question to a stored, grounded answer, at once or as a stream."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import anyio
from openai.types.chat import ChatCompletionMessageParam

from app.chat.constants import NO_DOCUMENTS_FOUND, MessageStatus
from app.chat.exceptions import PostProcessingFailed, UnknownModel
from app.chat.models import (
    Answer,
    AnswerWithSources,
    Chunk,
    Done,
    MessageRequest,
    SourceText,
    TokenUsage,
)
from app.chat.prompts import PromptPassage, completion_messages, question_messages
from app.chat.streaming import sources_event
from app.core.database import Database, Queries
from app.core.exceptions import AppError, InvalidRequest
from app.core.handlers import error_response
from app.core.llm import LLM, AnswerStream, Usage
from app.core.streaming import event
from app.knowledge.retrieval import RetrievedPassage, Retriever

__all__ = ["ChatService"]

logger = logging.getLogger(__name__)

SAVING_SEC = 10


@dataclass(frozen=True, slots=True)
class Prepared:
    """A stored question with its prompt; `messages` is None when there is nothing to ask."""

    question_id: UUID
    model: str
    messages: Sequence[ChatCompletionMessageParam] | None
    sources: list[SourceText] | None


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer as it is about to be stored."""

    id: UUID
    text: str
    model: str
    status: MessageStatus
    finish_reason: str | None
    usage: Usage


class ChatService:
    """Answers questions, with the documents or without, and keeps both sides."""

    def __init__(
        self,
        database: Database,
        retriever: Retriever,
        llm: LLM,
        *,
        models: Sequence[str],
        top_k: int,
        max_message_characters: int,
    ) -> None:
        self._database = database
        self._retriever = retriever
        self._llm = llm
        self._models = models
        self._top_k = top_k
        self._max_message_characters = max_message_characters
        self._open_streams = 0
        self._no_open_stream = asyncio.Event()

    async def aclose(self) -> None:
        """Wait until the answers of streams that were cut off are stored."""
        with anyio.move_on_after(SAVING_SEC):
            if self._open_streams:
                await self._no_open_stream.wait()

    async def complete(self, request: MessageRequest) -> Answer:
        """Pass the message to the language model as it is."""
        prepared = await self._prepare_completion(request)
        return _answer(*await self._answer(prepared))

    async def ask(self, request: MessageRequest) -> AnswerWithSources:
        """Answer from the documents."""
        prepared = await self._prepare_question(request)
        answer = _answer(*await self._answer(prepared))
        return AnswerWithSources(**dict(answer), sources=prepared.sources or [])

    async def stream_completion(self, request: MessageRequest) -> AsyncGenerator[bytes]:
        """The same as `complete`, as encoded events; what fails early raises here."""
        return await self._stream(await self._prepare_completion(request))

    async def stream_answer(self, request: MessageRequest) -> AsyncGenerator[bytes]:
        """The same as `ask`, as encoded events; what fails early raises here."""
        return await self._stream(await self._prepare_question(request))

    async def _prepare_completion(self, request: MessageRequest) -> Prepared:
        model = self._check(request)
        question_id = await self._database.run_statement(_insert_question, model, request.message)
        return Prepared(question_id, model, completion_messages(request.message), sources=None)

    async def _prepare_question(self, request: MessageRequest) -> Prepared:
        model = self._check(request)
        # The two don't need each other; the question is kept whatever becomes of the search.
        question_id, passages = await asyncio.gather(
            self._database.run_statement(_insert_question, model, request.message),
            self._retriever.search(request.message, limit=self._top_k),
        )
        sources = [_source(number, passage) for number, passage in enumerate(passages, start=1)]
        if not sources:
            return Prepared(question_id, model, messages=None, sources=[])
        prompt = question_messages(request.message, [_prompt_passage(source) for source in sources])
        return Prepared(question_id, model, prompt, sources)

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

    async def _answer(self, prepared: Prepared) -> tuple[Draft, datetime]:
        if prepared.messages is None:
            draft = _nothing_found(prepared.model)
        else:
            completion = await self._llm.complete(prepared.messages, prepared.model)
            draft = Draft(
                uuid4(),
                completion.text,
                completion.model,
                MessageStatus.COMPLETE,
                completion.finish_reason,
                completion.usage,
            )
        return draft, await self._save(prepared, draft)

    async def _save(self, prepared: Prepared, draft: Draft) -> datetime:
        try:
            return await self._database.run_statement(_insert_answer, prepared, draft)
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
        draft = _nothing_found(prepared.model)
        yield sources_event([])
        yield event("message", _chunk(draft.id, draft.model, draft.text, draft.finish_reason))
        yield await self._last_event(prepared, draft)

    async def _events(self, prepared: Prepared, upstream: AnswerStream) -> AsyncGenerator[bytes]:
        """Yield `b""`, then the answer's events; keep what there is, however the stream ends."""
        answer_id = uuid4()
        pieces: list[str] = []
        finish_reason = None
        status = MessageStatus.CANCELLED
        last_event = b""
        saved_event = event("error", error_response(PostProcessingFailed()).error)
        self._open_streams += 1
        self._no_open_stream.clear()
        try:
            yield b""
            if prepared.sources is not None:
                yield sources_event(prepared.sources)
            async for delta in upstream:
                pieces.append(delta.content)
                finish_reason = delta.finish_reason or finish_reason
                yield event(
                    "message",
                    _chunk(answer_id, upstream.model, delta.content, delta.finish_reason),
                )
            status = MessageStatus.COMPLETE
        except Exception as error:  # noqa: BLE001 -- after the first byte every failure is an event
            status = MessageStatus.FAILED
            last_event = event("error", error_response(_reported(error)).error)
        finally:
            # Reached too when the reader has left, which cancels this generator.
            with anyio.move_on_after(SAVING_SEC, shield=True):
                await upstream.close()
                draft = Draft(
                    answer_id,
                    "".join(pieces),
                    upstream.model,
                    status,
                    finish_reason,
                    upstream.usage,
                )
                saved_event = await self._last_event(prepared, draft)
            self._open_streams -= 1
            if not self._open_streams:
                self._no_open_stream.set()
        if final := last_event or saved_event:
            yield final

    async def _last_event(self, prepared: Prepared, draft: Draft) -> bytes:
        """Store the answer; return `done`, or `error` when it could not be stored."""
        if draft.status is not MessageStatus.COMPLETE and not draft.text:
            return b""
        try:
            await self._save(prepared, draft)
        except PostProcessingFailed as error:
            return event("error", error_response(error).error)
        return event("done", Done(id=draft.id, model=draft.model, usage=_token_usage(draft.usage)))


def _reported(error: Exception) -> AppError:
    if isinstance(error, AppError):
        return error
    logger.error("a stream failed", exc_info=error)
    return AppError()


def _nothing_found(model: str) -> Draft:
    return Draft(uuid4(), NO_DOCUMENTS_FOUND, model, MessageStatus.COMPLETE, "stop", Usage(0, 0))


def _answer(draft: Draft, created_at: datetime) -> Answer:
    return Answer(
        created_at=created_at,
        id=draft.id,
        model=draft.model,
        message=draft.text,
        usage=_token_usage(draft.usage),
    )


def _token_usage(usage: Usage) -> TokenUsage:
    return TokenUsage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)


def _chunk(answer_id: UUID, model: str, content: str, finish_reason: str | None) -> Chunk:
    return Chunk(
        id=answer_id,
        created=int(time.time()),
        model=model,
        content=content,
        finish_reason=finish_reason,
    )


def _source(number: int, passage: RetrievedPassage) -> SourceText:
    return SourceText(
        number=number,
        document_id=passage.document_id,
        chunk_id=passage.chunk_id,
        path=passage.path,
        title=passage.title,
        heading_path=list(passage.heading_path),
        start=passage.start,
        end=passage.end,
        score=passage.score,
        text=passage.text,
    )


def _prompt_passage(source: SourceText) -> PromptPassage:
    return PromptPassage(
        source.number, source.path, source.title, tuple(source.heading_path), source.text
    )


def _insert_question(queries: Queries, model: str, message: str) -> UUID:
    question_id: UUID = queries.insert_question(model=model, message=message)["id"]
    return question_id


def _insert_answer(queries: Queries, prepared: Prepared, draft: Draft) -> datetime:
    # The passages' texts stay in their documents: what is deleted there must not live on here.
    sources = [
        source.model_dump(mode="json", exclude={"text"}) for source in prepared.sources or []
    ]
    row = queries.insert_answer(
        id=draft.id,
        question_id=prepared.question_id,
        status=draft.status.value,
        model=draft.model,
        message=draft.text,
        finish_reason=draft.finish_reason,
        prompt_tokens=draft.usage.prompt_tokens,
        completion_tokens=draft.usage.completion_tokens,
        sources=json.dumps(sources),
    )
    created_at: datetime = row["created_at"]
    return created_at.astimezone(UTC)
