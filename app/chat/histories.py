"""What of a chat fits into the prompt of its next question.

The newest turns are given word for word, a question always with its answer. What is older is summed
up where a language model is configured, else left out.
"""

import json
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from anyio import to_thread

from app.chat.budget import SMALLEST_CONTEXT_TOKENS, TokenBudget
from app.chat.constants import ChatRole
from app.chat.exceptions import MessagesGone
from app.chat.past import NO_SUMMARY, PackedHistory, PastMessage, Summary, Turn, read_turns
from app.chat.prompts import message_text, past_messages
from app.chat.provenance import TracedHistory
from app.chat.summaries import SUMMARY_TOKENS, Summaries, find_summaries
from app.core.database import Queries

__all__ = ["HISTORY_TOKENS", "Histories", "read_history"]

# What a history adds to the instructions, and what the question means in full.
HISTORY_TOKENS: Final = 400
# In less, the newest turns say more.
SMALLEST_ROOM_WITH_SUMMARY: Final = 2 * SUMMARY_TOKENS
# What a chat template puts around a message.
MESSAGE_TOKENS: Final = 8
# As `TokenBudget` counts, no text has fewer tokens than this suggests.
MAX_BYTES_PER_TOKEN: Final = 4


class Histories:
    """Packs the messages before a question; without `summaries`, older ones are left out."""

    def __init__(self, budget: TokenBudget, summaries: Summaries | None) -> None:
        self._budget = budget
        self._summaries = summaries

    async def pack(
        self,
        past: Sequence[PastMessage],
        room: int,
        *,
        account_id: UUID,
        model: str,
        with_passages: bool = True,
    ) -> PackedHistory:
        """Choose what is told of the messages before a question, in `room` tokens beside it.

        Half of the room is the passages', and never less than the smallest context; so is what the
        history leaves of its own half.
        """
        turns = read_turns(past)
        room -= HISTORY_TOKENS
        if with_passages:
            room = min(room // 2, room - SMALLEST_CONTEXT_TOKENS)
        if not turns or room <= 0:
            return PackedHistory(used=TracedHistory(left_out=sum(map(len, turns))))
        sizes = await self._sizes(turns, room)
        count = _fitting(sizes, room)
        is_small = room < SMALLEST_ROOM_WITH_SUMMARY
        if count == len(turns) or self._summaries is None or is_small:
            return _packed(turns, count, sizes)
        return await self._with_summary(self._summaries, turns, sizes, room, account_id, model)

    async def _with_summary(
        self,
        summaries: Summaries,
        turns: Sequence[Turn],
        sizes: Sequence[int],
        room: int,
        account_id: UUID,
        model: str,
    ) -> PackedHistory:
        count = _fitting(sizes, room - SUMMARY_TOKENS)
        summary = await summaries.find(turns, account_id)
        if summary.turns < len(turns) - count:
            # More than has to be, so that the next questions can do with the same summary.
            kept = max(_fitting(sizes, (room - SUMMARY_TOKENS) // 2), min(count, 1))
            summary = await summaries.extend(summary, turns[: len(turns) - kept], account_id, model)
        if not summary.text:
            return _packed(turns, _fitting(sizes, room), sizes)
        return _packed(turns, min(count, len(turns) - summary.turns), sizes, summary)

    async def _sizes(self, turns: Sequence[Turn], room: int) -> list[int]:
        """Return the tokens of the newest turns, newest first, of as many as may fit at all."""
        texts = await to_thread.run_sync(_newest_texts, turns, room)
        tokens = iter(await self._budget.count([text for turn in texts for text in turn]))
        return [sum(next(tokens) + MESSAGE_TOKENS for _ in turn) for turn in texts]


def read_history(queries: Queries, used: TracedHistory, account_id: UUID) -> PackedHistory:
    """Return what an answer's prompt told of the messages before its question.

    Raises:
        MessagesGone: they are not there any more.
    """
    ids = json.dumps([str(message_id) for message_id in used.message_ids])
    rows = list(queries.read_past_messages(account_id=account_id, message_ids=ids))
    messages = [PastMessage(row["id"], ChatRole(row["role"]), row["message"]) for row in rows]
    summary = ""
    if used.summary_of is not None:
        summary = find_summaries(queries, account_id, [used.summary_of]).get(used.summary_of, "")
    # What a client has sent along is not stored.
    is_complete = len(messages) == len(used.message_ids) == used.given
    if not is_complete or bool(summary) != bool(used.summary_of):
        raise MessagesGone
    return PackedHistory(messages, summary, used)


def _newest_texts(turns: Sequence[Turn], room: int) -> list[list[str]]:
    texts = []
    left = room * MAX_BYTES_PER_TOKEN
    for turn in reversed(turns):
        told = [message_text(message) for message in past_messages(turn)]
        left -= sum(len(text.encode()) for text in told)
        if left < 0:
            break
        texts.append(told)
    return texts


def _fitting(sizes: Sequence[int], room: int) -> int:
    """Return how many of the newest turns fit."""
    for count, size in enumerate(sizes):
        room -= size
        if room < 0:
            return count
    return len(sizes)


def _packed(
    turns: Sequence[Turn], count: int, sizes: Sequence[int], summary: Summary = NO_SUMMARY
) -> PackedHistory:
    """Put the newest `count` turns behind a summary."""
    given = [message for turn in turns[len(turns) - count :] for message in turn]
    summarised = sum(map(len, turns[: summary.turns]))
    used = TracedHistory(
        given=len(given),
        summarised=summarised,
        left_out=sum(map(len, turns)) - len(given) - summarised,
        message_ids=[message.id for message in given],
        summary_of=turns[summary.turns - 1][-1].id if summary.text else None,
    )
    tokens = HISTORY_TOKENS + sum(sizes[:count]) + (SUMMARY_TOKENS if summary.text else 0)
    return PackedHistory(given, summary.text, used, tokens)
