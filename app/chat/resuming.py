"""Answers in the making, for those who come back to them: read on, or stopped, from any process."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any, Final
from uuid import UUID

from app.accounts.models import Caller
from app.chat.chats.exceptions import MessageNotFound
from app.chat.constants import MessageStatus
from app.chat.exceptions import StillStopping
from app.chat.live import LiveAnswers
from app.chat.models import AnswerState
from app.chat.streaming import read_events
from app.chat.turns import give_up
from app.core.database import Database, Queries
from app.core.exceptions import DatabaseUnavailable, NotFound

__all__ = ["Resuming"]

# How often PostgreSQL is asked for what another process has done.
POLL_SEC: Final = 0.2
# How often that process is told that somebody reads.
NOTE_SEC: Final = 2
# After PostgreSQL could not be reached.
RETRY_SEC: Final = 1
# An answer that is to stop has so long to be stored.
STOPPING_SEC: Final = 10


class Resuming:
    """Leads back to answers that this process makes, or another one does or did."""

    def __init__(self, database: Database, live: LiveAnswers) -> None:
        self._database = database
        self._live = live

    async def resume(self, answer_id: UUID, caller: Caller, *, after: int) -> AsyncGenerator[bytes]:
        """Return the encoded events behind a number, up to the last one, as they come.

        Raises:
            NotFound: the caller has no such answer, or its events are no longer kept.
        """
        rows = await self._read(answer_id, caller, after)
        if not rows:
            raise NotFound(
                "There is no stream of an answer with this id. Those that can be resumed are kept "
                "for an hour; GET /v1/messages/{id} has the answer itself."
            )
        live = self._live.find(answer_id)
        return live.read(after) if live else self._follow(answer_id, caller, after)

    async def cancel(self, answer_id: UUID, caller: Caller) -> AnswerState:
        """Stop an answer and return how far it has come; one that has ended stays as it is.

        Raises:
            NotFound: the caller has no such answer, or none that could be resumed.
            StillStopping: whoever makes it has not stopped within seconds.
        """
        is_theirs = await self._database.run_statement(
            _request_cancel, answer_id, caller.account_id
        )
        live = self._live.find(answer_id)
        if is_theirs and live is not None:
            live.cancel()
        until = time.monotonic() + STOPPING_SEC
        while True:
            state = await self._database.run_statement(_find_state, answer_id, caller.account_id)
            if state is None:
                raise MessageNotFound
            if state["has_ended"]:
                return AnswerState(
                    id=state["id"],
                    # One that was stopped before its first word is not stored.
                    status=state["status"] or MessageStatus.CANCELLED,
                    message=state["message"] or "",
                )
            if time.monotonic() > until:
                raise StillStopping
            if not await self._give_up(answer_id):
                await asyncio.sleep(POLL_SEC)

    async def _follow(self, answer_id: UUID, caller: Caller, after: int) -> AsyncGenerator[bytes]:
        noted_at = -float(NOTE_SEC)
        while True:
            try:
                if time.monotonic() - noted_at >= NOTE_SEC:
                    await self._database.run_statement(_note_reader, answer_id)
                    noted_at = time.monotonic()
                rows = await self._read(answer_id, caller, after)
                is_open = bool(rows) and not rows[0]["has_ended"]
                was_given_up = (
                    is_open and not rows[0]["is_alive"] and await self._give_up(answer_id)
                )
            except DatabaseUnavailable:
                # Logged where it happened. The answer goes on, and so does whoever reads it.
                await asyncio.sleep(RETRY_SEC)
                continue
            for row in rows:
                for number, one in enumerate(read_events(row["events"] or ()), row["number"] or 0):
                    if number > after:
                        after = number
                        yield one.encode(number)
            if not is_open:
                break
            if not was_given_up:
                await asyncio.sleep(POLL_SEC)

    async def _give_up(self, answer_id: UUID) -> bool:
        return await self._database.run(give_up, answer_id, self._live.process_id)

    async def _read(self, answer_id: UUID, caller: Caller, after: int) -> list[dict[str, Any]]:
        return await self._database.run_statement(
            _read_events, answer_id, caller.account_id, after, self._live.process_id
        )


def _read_events(
    queries: Queries, answer_id: UUID, account_id: UUID, after: int, process_id: UUID
) -> list[dict[str, Any]]:
    rows = queries.read_events(
        id=answer_id, account_id=account_id, after=after, process_id=process_id
    )
    return list(rows)


def _note_reader(queries: Queries, answer_id: UUID) -> None:
    queries.note_reader(id=answer_id)


def _request_cancel(queries: Queries, answer_id: UUID, account_id: UUID) -> bool:
    return bool(queries.request_cancel(id=answer_id, account_id=account_id))


def _find_state(queries: Queries, answer_id: UUID, account_id: UUID) -> dict[str, Any] | None:
    state: dict[str, Any] | None = queries.find_answer_state(id=answer_id, account_id=account_id)
    return state
