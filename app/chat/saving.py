"""An answer's end: stored in one transaction with all that follows from it."""

import logging
from dataclasses import replace

from anyio import to_thread

from app.accounts.limits import spend_tokens
from app.chat.answers import (
    Draft,
    Prepared,
    StoredAnswer,
    calls_of,
    citable,
    counted_calls,
    store_answer,
)
from app.chat.budget import estimate_tokens
from app.chat.citations import check
from app.chat.constants import MessageStatus
from app.chat.exceptions import AnswerUnwanted, PostProcessingFailed
from app.chat.generating import LastEvents
from app.chat.live import LiveAnswers
from app.chat.prompts import message_text
from app.chat.streaming import ChatEvent
from app.chat.turns import end_turn
from app.core.database import Database, Queries
from app.core.exceptions import Conflict
from app.core.metrics import CITATIONS
from app.core.stages import stage

__all__ = ["Saver"]

logger = logging.getLogger(__name__)


class Saver:
    """Stores answers."""

    def __init__(self, database: Database, live: LiveAnswers) -> None:
        self._database = database
        self._live = live

    async def save(
        self, prepared: Prepared, draft: Draft | None, last_events: LastEvents
    ) -> tuple[StoredAnswer | None, list[ChatEvent]]:
        """Store an answer, or that there is none, with its last events; return both.

        Raises:
            PostProcessingFailed: it could not be stored.
            Conflict: nobody waits for it any more.
        """
        question = prepared.question
        if draft is None and not (question.is_open or question.spends):
            return None, list(last_events(None))
        # Readers get the events in their order, so the last ones are stored after all others.
        kept = await self._live.drained(question.answer_id)
        is_one_statement = False
        try:
            if draft is not None and prepared.sources:
                with stage("question.citations", prepared.timings_ms):
                    cited = await to_thread.run_sync(check, draft.text, citable(prepared.sources))
                draft = replace(draft, cited=cited)
                for one in cited:
                    CITATIONS.labels("verified" if one.verified else "unverified").inc()
            is_one_statement = not (
                question.is_open
                or question.spends
                or question.claim.is_keyed
                or (draft and draft.cited)
            )
            run = self._database.run_statement if is_one_statement else self._database.run
            with stage("question.save"):
                return await run(_store, prepared, draft, kept + 1, last_events)
        except Conflict:
            # Nobody waits for it any more; it has cost what it has cost.
            if not is_one_statement:
                await self._database.run(_spend, prepared, draft, are_calls_kept=False)
            raise
        except Exception as error:
            logger.exception("an answer could not be stored")
            raise PostProcessingFailed from error


def _store(
    queries: Queries,
    prepared: Prepared,
    draft: Draft | None,
    number: int,
    last_events: LastEvents,
) -> tuple[StoredAnswer | None, list[ChatEvent]]:
    """Store the answer and all that follows from it: its last events, its end, what it has cost."""
    question = prepared.question
    stored = store_answer(queries, prepared, draft) if draft else None
    events = list(last_events(stored))
    if question.is_open:
        kept = events if question.is_resumable else []
        was_open = end_turn(queries, question.answer_id, number, kept)
        if question.is_resumable and not was_open:
            raise AnswerUnwanted("This process was taken for dead while it answered. Ask again.")
    if stored is None or stored.draft.status is not MessageStatus.COMPLETE:
        # Sent again, the request is to get all of it.
        question.claim.forget(queries)
    elif not question.is_streamed:
        question.claim.complete(queries, stored.with_sources(prepared))
    _spend(queries, prepared, draft, are_calls_kept=stored is not None)
    return stored, events


def _spend(
    queries: Queries, prepared: Prepared, draft: Draft | None, *, are_calls_kept: bool
) -> None:
    """Count what an answer has used; its calls are kept together with it, if it is."""
    question = prepared.question
    calls = calls_of(prepared, draft)
    if calls and not are_calls_kept:
        queries.insert_model_calls(account_id=question.account_id, calls=counted_calls(calls))
    if question.spends:
        spend_tokens(queries, question.spends, _tokens(prepared, draft))


def _tokens(prepared: Prepared, draft: Draft | None) -> int:
    """Return what an answer has cost; where the language model doesn't say, about as much."""
    prompt = None if draft is None else draft.usage.prompt_tokens
    if prompt is None:
        prompt = estimate_tokens("".join(map(message_text, prepared.messages or ())))
    completion = 0 if draft is None else draft.usage.completion_tokens
    if completion is None:
        assert draft is not None
        completion = estimate_tokens(draft.text)
    before = sum(
        (call.usage.prompt_tokens or 0) + (call.usage.completion_tokens or 0)
        for call in prepared.calls
    )
    return before + prompt + completion
