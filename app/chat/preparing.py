"""From a request to a stored question with its prompt; what can fail early fails here."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from app.accounts.exceptions import Unauthorized
from app.accounts.models import Caller
from app.chat.answers import Prepared, StoredQuestion
from app.chat.budget import TokenBudget
from app.chat.exceptions import UnknownModel
from app.chat.followups import FollowUps
from app.chat.given import GivenQuestion
from app.chat.grounding import Grounder, Grounding, prompt_passage
from app.chat.histories import Histories
from app.chat.live import LiveAnswers
from app.chat.models import (
    ChatMessageRequest,
    MessageRequest,
    QuestionRequest,
    RegenerateRequest,
)
from app.chat.past import NO_HISTORY, PackedHistory
from app.chat.prompts import completion_messages, question_messages
from app.chat.provenance import UsedSettings, Wishes
from app.chat.turns import (
    NewQuestion,
    RepeatedQuestion,
    begin_answer,
    begin_question,
    begin_replay,
    read_background,
)
from app.core.database import Database, Queries
from app.core.exceptions import InvalidRequest
from app.core.idempotency import Claim
from app.core.llm import noted_calls
from app.core.stages import stage

__all__ = ["Preparer", "prepare"]


class Preparer:
    """Checks a request, stores its question, finds passages, and puts the prompt together."""

    def __init__(
        self,
        database: Database,
        grounder: Grounder,
        budget: TokenBudget,
        follow_ups: FollowUps,
        histories: Histories,
        live: LiveAnswers,
        *,
        models: Sequence[str],
        max_message_characters: int,
        generation_limit: int,
    ) -> None:
        self._database = database
        self._grounder = grounder
        self._budget = budget
        self._follow_ups = follow_ups
        self._histories = histories
        # Nothing stores what sums them up.
        self._given_histories = Histories(budget, None)
        self._live = live
        self._models = models
        self._max_message_characters = max_message_characters
        self._generation_limit = generation_limit

    def model_or_default(self, model: str) -> str:
        """Return a model that was asked for once, if it is still allowed."""
        return model if model in self._models else self._models[0]

    async def completion(self, request: MessageRequest, caller: Caller) -> Prepared:
        """A message that goes to the language model as it is."""
        model = self._check(request)
        await self._budget.check(request.message)
        question = await self._begin(self._new_question(request, model, caller), caller)
        return Prepared(question, model, completion_messages(question.text), grounding=None)

    async def question(
        self,
        request: QuestionRequest,
        caller: Caller,
        claim: Claim,
        *,
        is_streamed: bool = False,
    ) -> Prepared:
        """A question to the documents, or to a selected text."""
        model = self._check(request)
        room = await self._budget.room_beside(request.message)
        new = self._new_question(request, model, caller)
        new = replace(new, is_resumable=request.is_resumable, claim=claim, is_streamed=is_streamed)
        if request.chat_id is not None:
            question = await self._begin(replace(new, chat_id=request.chat_id), caller)
            return await self._in_chat(question, request, model, room, caller)
        # The two don't need each other; the question is kept whatever becomes of the search.
        searching = asyncio.create_task(
            self._grounder.ground(request, request.message, room, caller)
        )
        try:
            question = await self._begin(new, caller)
        except BaseException:
            searching.cancel()
            await asyncio.gather(searching, return_exceptions=True)
            raise
        async with self._live.ended_on_failure(question):
            return prepare(question, model, await searching)

    async def message(
        self,
        chat_id: UUID,
        request: ChatMessageRequest,
        caller: Caller,
        claim: Claim,
        *,
        is_streamed: bool = False,
    ) -> Prepared:
        """The next question of a chat."""
        model = self._check(request)
        room = await self._budget.room_beside(request.message)
        new = replace(
            self._new_question(request, model, caller),
            is_resumable=True,
            chat_id=chat_id,
            parent_id=request.parent_id,
            edits=request.edits,
            claim=claim,
            is_streamed=is_streamed,
        )
        question = await self._begin(new, caller)
        return await self._in_chat(
            question, request, model, room, caller, retrieval=request.retrieval
        )

    async def given(self, given: GivenQuestion, caller: Caller) -> Prepared:
        """A question to the documents, outside of any chat, whose client knows what was before."""
        request = QuestionRequest(message=given.text, model=given.model)
        model = self._check(request)
        room = await self._budget.room_beside(f"{given.text}\n{given.wishes.instructions}")
        question = await self._begin(self._new_question(request, model, caller), caller)
        question = replace(question, past=given.past)
        async with self._live.ended_on_failure(question):
            with noted_calls() as calls:
                history, query = await asyncio.gather(
                    self._given_histories.pack(
                        given.past, room, account_id=caller.account_id, model=model
                    ),
                    self._follow_ups.standalone(given.text, given.past, model),
                )
            used = history.used.model_copy(update={"message_ids": []})
            history = replace(history, used=used)
            grounding = await self._grounder.ground(request, query, room - history.tokens, caller)
            meant = None if query == given.text else query
            prepared = prepare(
                question, model, grounding, history=history, meant=meant, wishes=given.wishes
            )
            return replace(prepared, calls=calls)

    async def again(
        self,
        chat_id: UUID,
        request: RegenerateRequest,
        caller: Caller,
        claim: Claim,
        *,
        is_streamed: bool = False,
    ) -> Prepared:
        """A question of a chat that is answered once more."""
        model = self._check(request)
        repeated = RepeatedQuestion(
            account_id=caller.account_id,
            model=model,
            process_id=self._live.process_id,
            limit=self._generation_limit,
            chat_id=chat_id,
            message_id=request.message_id,
            is_resumable=True,
            is_streamed=is_streamed,
            claim=claim,
        )
        question = await self._live.begin_turn(begin_answer, repeated)
        question = replace(question, spends=caller.spends)
        async with self._live.ended_on_failure(question):
            room = await self._budget.room_beside(question.text)
            request = await self._database.run_statement(_as_before, request, question)
        return await self._in_chat(
            question, request, model, room, caller, retrieval=request.retrieval is not False
        )

    async def replay(self, prepared: Prepared, caller: Caller) -> Prepared:
        """A question with its passages that is answered once more, outside of its chat."""
        question = replace(prepared.question, spends=caller.spends)
        if self._generation_limit:
            repeated = RepeatedQuestion(
                account_id=caller.account_id,
                model=prepared.model,
                process_id=self._live.process_id,
                limit=self._generation_limit,
                message_id=question.id,
                answer_id=question.answer_id,
            )
            await self._live.begin_turn(begin_replay, repeated)
            question = replace(question, is_open=True)
        return replace(prepared, question=question)

    async def _in_chat(
        self,
        question: StoredQuestion,
        request: QuestionRequest,
        model: str,
        room: int,
        caller: Caller,
        *,
        retrieval: bool = True,
    ) -> Prepared:
        async with self._live.ended_on_failure(question):
            with noted_calls() as calls:
                prepared = await self._prepare_in_chat(
                    question, request, model, room, caller, retrieval=retrieval
                )
            return replace(prepared, calls=calls)

    async def _prepare_in_chat(
        self,
        question: StoredQuestion,
        request: QuestionRequest,
        model: str,
        room: int,
        caller: Caller,
        *,
        retrieval: bool,
    ) -> Prepared:
        packing = self._histories.pack(
            question.past,
            room,
            account_id=caller.account_id,
            model=model,
            with_passages=retrieval,
        )
        if not retrieval:
            history = await packing
            messages = completion_messages(question.text, history=history)
            return Prepared(question, model, messages, grounding=None, history=history.used)
        # A language model may be asked for either.
        history, query = await asyncio.gather(
            packing, self._follow_ups.standalone(question.text, question.past, model)
        )
        grounding = await self._grounder.ground(request, query, room - history.tokens, caller)
        meant = None if query == question.text else query
        return prepare(question, model, grounding, history=history, meant=meant)

    def _new_question(self, request: MessageRequest, model: str, caller: Caller) -> NewQuestion:
        return NewQuestion(
            account_id=caller.account_id,
            model=model,
            text=request.message,
            process_id=self._live.process_id,
            limit=self._generation_limit,
        )

    async def _begin(self, new: NewQuestion, caller: Caller) -> StoredQuestion:
        """Store a question; where others have to know of its answer in the making, say so."""
        if new.is_resumable or new.limit:
            question = await self._live.begin_turn(begin_question, new)
        else:
            question = await self._database.run_statement(_insert_question, new)
        return replace(question, spends=caller.spends)

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


def prepare(
    question: StoredQuestion,
    model: str,
    grounding: Grounding,
    *,
    history: PackedHistory = NO_HISTORY,
    meant: str | None = None,
    replay_of: UUID | None = None,
    wishes: Wishes | None = None,
) -> Prepared:
    """Put a question and its passages into a prompt; without passages there is nothing to ask."""
    passages = [prompt_passage(source) for source in grounding.sources]
    timings = dict(grounding.timings_ms)
    messages = None
    if passages:
        with stage("question.prompt", timings):
            messages = question_messages(
                question.text,
                passages,
                question.background,
                history=history,
                meant=meant,
                instructions=wishes.instructions if wishes else "",
            )
    used = history.used if question.chat_id or question.past else None
    return Prepared(question, model, messages, grounding, meant, used, replay_of, timings, wishes)


def _insert_question(queries: Queries, new: NewQuestion) -> StoredQuestion:
    row = queries.insert_question(account_id=new.account_id, model=new.model, message=new.text)
    if row is None:
        raise Unauthorized
    return StoredQuestion(
        row["id"],
        new.account_id,
        new.text,
        read_background(row),
        claim=new.claim,
        is_streamed=new.is_streamed,
    )


def _as_before(
    queries: Queries, request: RegenerateRequest, question: StoredQuestion
) -> RegenerateRequest:
    """Fill in what a request leaves out, as the question was answered last.

    Raises:
        InvalidRequest: that was from a selected text.
    """
    says_where = request.retrieval is not None or request.selected_text is not None
    if says_where or request.filters is not None or request.mode is not None:
        return request
    row = queries.find_last_settings(question_id=question.id, account_id=question.account_id)
    if row is None:
        return request
    if row["selected_text_hash"] is not None:
        raise InvalidRequest(
            "selected_text: send it again, it is not kept with the answer; or set retrieval"
        )
    if row["settings"] is None:
        return request.model_copy(update={"retrieval": False})
    before = UsedSettings.model_validate(row["settings"])
    return request.model_copy(update={"mode": before.mode, "filters": before.filters})
