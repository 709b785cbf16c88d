"""From a question to a stored, grounded answer, at once or as a stream."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

import anyio
from anyio import to_thread

from app.accounts.models import Caller
from app.chat.answers import (
    Draft,
    Prepared,
    StoredAnswer,
    nothing_found,
    provenance,
    stored_sources,
)
from app.chat.budget import TokenBudget
from app.chat.constants import MessageStatus
from app.chat.exceptions import AnswerCancelled, AnswerUnwanted
from app.chat.generating import (
    NOTHING_FOUND,
    SAVING_SEC,
    Generation,
    Upstream,
    read_markers,
)
from app.chat.given import GivenQuestion
from app.chat.live import LiveAnswer, LiveAnswers
from app.chat.models import (
    Answer,
    AnswerWithSources,
    ChatMessageRequest,
    MessageRequest,
    QuestionRequest,
    RegenerateRequest,
)
from app.chat.preparing import Preparer
from app.chat.prompts import message_text
from app.chat.resuming import Resuming
from app.chat.saving import Saver
from app.chat.streaming import ChatEvent
from app.chat.turns import Ending
from app.core.database import Database, Queries
from app.core.exceptions import UpstreamFailed
from app.core.idempotency import NO_CLAIM, Claim
from app.core.llm import EMPTY_ANSWER, LLM
from app.core.metrics import ANSWERS
from app.core.stages import stage

__all__ = ["ChatService", "OpenAnswer"]


@dataclass(frozen=True, slots=True)
class OpenAnswer:
    """An answer that is made as its events are read; they must be closed, if not read to the end.

    The first of them is None.
    """

    generation: Generation
    events: AsyncGenerator[ChatEvent | None]


class ChatService:
    """Answers questions, with the documents or without, and keeps both sides."""

    def __init__(
        self,
        database: Database,
        preparer: Preparer,
        budget: TokenBudget,
        llm: LLM,
        live: LiveAnswers,
        resuming: Resuming,
    ) -> None:
        self._database = database
        self._preparer = preparer
        self._budget = budget
        self._llm = llm
        self._live = live
        self._resuming = resuming
        self._save = Saver(database, live).save
        self._open_streams = 0
        self._no_open_stream = asyncio.Event()

    async def aclose(self) -> None:
        """Wait until the answers of streams that were cut off are stored."""
        with anyio.move_on_after(SAVING_SEC):
            if self._open_streams:
                await self._no_open_stream.wait()

    async def complete(self, request: MessageRequest, caller: Caller) -> Answer:
        """Pass the message to the language model as it is."""
        prepared = await self._preparer.completion(request, caller)
        return (await self._answer(prepared)).to_answer()

    async def ask(
        self, request: QuestionRequest, caller: Caller, claim: Claim = NO_CLAIM
    ) -> AnswerWithSources:
        """Answer from the documents that the caller may read, or from a selected text."""
        await claim.take(request)
        return await self._respond(await self._preparer.question(request, caller, claim))

    async def converse(
        self, chat_id: UUID, request: ChatMessageRequest, caller: Caller, claim: Claim = NO_CLAIM
    ) -> AnswerWithSources:
        """Answer the next question of a chat."""
        await claim.take(request)
        return await self._respond(await self._preparer.message(chat_id, request, caller, claim))

    async def regenerate(
        self, chat_id: UUID, request: RegenerateRequest, caller: Caller, claim: Claim = NO_CLAIM
    ) -> AnswerWithSources:
        """Answer a question of a chat once more."""
        await claim.take(request)
        return await self._respond(await self._preparer.again(chat_id, request, caller, claim))

    async def stream_completion(
        self, request: MessageRequest, caller: Caller
    ) -> AsyncGenerator[bytes]:
        """The same as `complete`, as encoded events; what fails early raises here."""
        return await self._stream(await self._preparer.completion(request, caller))

    async def stream_answer(
        self, request: QuestionRequest, caller: Caller, claim: Claim = NO_CLAIM
    ) -> AsyncGenerator[bytes]:
        """The same as `ask`, as encoded events; what fails early raises here."""
        if (answer_id := await claim.take(request)) is not None:
            return await self._resuming.resume(answer_id, caller, after=0)
        return await self._stream(
            await self._preparer.question(request, caller, claim, is_streamed=True)
        )

    async def stream_message(
        self, chat_id: UUID, request: ChatMessageRequest, caller: Caller, claim: Claim = NO_CLAIM
    ) -> AsyncGenerator[bytes]:
        """The same as `converse`, as encoded events; what fails early raises here."""
        if (answer_id := await claim.take(request)) is not None:
            return await self._resuming.resume(answer_id, caller, after=0)
        return await self._stream(
            await self._preparer.message(chat_id, request, caller, claim, is_streamed=True)
        )

    async def stream_again(
        self, chat_id: UUID, request: RegenerateRequest, caller: Caller, claim: Claim = NO_CLAIM
    ) -> AsyncGenerator[bytes]:
        """The same as `regenerate`, as encoded events; what fails early raises here."""
        if (answer_id := await claim.take(request)) is not None:
            return await self._resuming.resume(answer_id, caller, after=0)
        return await self._stream(
            await self._preparer.again(chat_id, request, caller, claim, is_streamed=True)
        )

    async def open_answer(self, given: GivenQuestion, caller: Caller) -> OpenAnswer:
        """Answer from the documents, in a conversation that the client keeps.

        What fails early raises here.
        """
        return await self._open(await self._preparer.given(given, caller))

    async def replay(self, prepared: Prepared, caller: Caller) -> AnswerWithSources:
        """Answer a question once more whose passages are known.

        Raises:
            InvalidRequest: they no longer fit into the context window.
        """
        await self._budget.check("".join(map(message_text, prepared.messages or ())))
        return await self._respond(await self._preparer.replay(prepared, caller))

    def model_or_default(self, model: str) -> str:
        """Return a model that was asked for once, if it is still allowed."""
        return self._preparer.model_or_default(model)

    async def _respond(self, prepared: Prepared) -> AnswerWithSources:
        if not prepared.question.is_resumable:
            return (await self._answer(prepared)).with_sources(prepared)
        live = await self._go_live(prepared)
        await live.ended()
        if live.generation.failure is not None:
            raise live.generation.failure
        if live.generation.stored is None:
            raise AnswerCancelled
        return live.generation.stored.with_sources(prepared)

    async def _answer(self, prepared: Prepared) -> StoredAnswer:
        status = MessageStatus.FAILED.value
        try:
            async with self._live.ended_on_failure(prepared.question):
                draft = await self._draft(prepared)
                stored, _ = await self._save(prepared, draft, _no_events)
            assert stored is not None
            status = NOTHING_FOUND if prepared.messages is None else draft.status.value
            return stored
        finally:
            ANSWERS.labels(status).inc()

    async def _draft(self, prepared: Prepared) -> Draft:
        if prepared.messages is None:
            return nothing_found(prepared)
        with stage("question.generation", prepared.timings_ms, model=prepared.model):
            completion = await self._llm.complete(
                prepared.messages, prepared.model, prepared.options
            )
        # A long answer takes longer to read than others should wait.
        text = await to_thread.run_sync(read_markers, prepared, completion.text)
        if not text.strip():
            raise UpstreamFailed(details={"reason": EMPTY_ANSWER})
        return Draft(
            prepared.question.answer_id,
            text,
            completion.model,
            MessageStatus.COMPLETE,
            completion.finish_reason,
            completion.usage,
        )

    async def _stream(self, prepared: Prepared) -> AsyncGenerator[bytes]:
        if prepared.question.is_resumable:
            return (await self._go_live(prepared)).read()
        events = _encoded((await self._open(prepared)).events)
        await anext(events)
        return events

    async def _open(self, prepared: Prepared) -> OpenAnswer:
        async with self._live.ended_on_failure(prepared.question):
            generation = Generation(prepared, await self._ask(prepared), self._save)
            events = self._events(generation)
            # A generator that has not begun would not close the upstream call when it is closed.
            await anext(events)
        return OpenAnswer(generation, events)

    async def _go_live(self, prepared: Prepared) -> LiveAnswer:
        async with self._live.ended_on_failure(prepared.question):
            if not await self._database.run_statement(_note, prepared):
                raise AnswerUnwanted
            return self._live.begin(Generation(prepared, await self._ask(prepared), self._save))

    async def _ask(self, prepared: Prepared) -> Upstream | None:
        if prepared.messages is None:
            return None
        timings, model = prepared.timings_ms, prepared.model
        first_token = stage("question.first_token", timings, model=model)
        generation = stage("question.generation", timings, model=model)
        try:
            return Upstream(
                await self._llm.stream(prepared.messages, model, prepared.options),
                first_token,
                generation,
            )
        except BaseException as error:
            generation.end(failed=isinstance(error, Exception))
            ANSWERS.labels(MessageStatus.FAILED.value).inc()
            raise

    async def _events(self, generation: Generation) -> AsyncGenerator[ChatEvent | None]:
        """Yield None, then the answer's events."""
        self._open_streams += 1
        self._no_open_stream.clear()
        try:
            yield None
            async with aclosing(generation.events()) as events:
                async for one in events:
                    yield one
        finally:
            with anyio.CancelScope(shield=True):
                await generation.close()
            question = generation.prepared.question
            if question.is_open and not generation.has_ended:
                self._live.end_soon(Ending(question.answer_id, question.claim))
            self._open_streams -= 1
            if not self._open_streams:
                self._no_open_stream.set()


async def _encoded(events: AsyncGenerator[ChatEvent | None]) -> AsyncGenerator[bytes]:
    """Yield `b""`, then events as their readers get them."""
    number = 0
    async with aclosing(events):
        yield b""
        async for one in events:
            if one is not None:
                number += 1
                yield one.encode(number)


def _no_events(_: StoredAnswer | None) -> list[ChatEvent]:
    return []


def _note(queries: Queries, prepared: Prepared) -> int:
    noted: int = queries.note_generation(
        id=prepared.question.answer_id,
        sources=stored_sources(prepared),
        trace=provenance(prepared).model_dump_json(),
    )
    return noted
