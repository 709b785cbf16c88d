"""How the answer to a question begins and ends in PostgreSQL, so that all processes know of it.

Whoever begins locks the account, then the chat: of two that begin at once, the second finds what
the first has begun. An answer whose process has died is ended by whoever comes across it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

from app.accounts.exceptions import Unauthorized
from app.accounts.models import Level
from app.chat.answers import StoredQuestion
from app.chat.chats.exceptions import ChatNotFound
from app.chat.chats.titles import title_from
from app.chat.constants import ChatRole, MessageStatus
from app.chat.exceptions import ChatBusy, TooManyGenerations
from app.chat.past import PastMessage
from app.chat.prompts import Background
from app.chat.streaming import ChatEvent, error_event, read_events
from app.core.database import Queries
from app.core.exceptions import InvalidRequest, ServerStopping
from app.core.idempotency import NO_CLAIM, Claim

__all__ = [
    "Asked",
    "Ending",
    "NewQuestion",
    "RepeatedQuestion",
    "abandon_turn",
    "begin_answer",
    "begin_passthrough",
    "begin_question",
    "begin_replay",
    "end_turn",
    "give_up",
    "read_background",
]

# So many messages of a branch are read; a context window holds fewer.
PAST_MESSAGES: Final = 200
# How long the events of an answer can be read again once it has ended.
KEPT_SEC: Final = 3600
# As long as a key's.
KEYED_KEPT_SEC: Final = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked, by whom, and how its answer is made: by which process, under which id."""

    account_id: UUID
    model: str
    process_id: UUID
    limit: int
    chat_id: UUID | None = None
    is_resumable: bool = False
    is_streamed: bool = False
    claim: Claim = NO_CLAIM
    answer_id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewQuestion(Asked):
    """A question as it is asked; in a chat, behind `parent_id`, in place of `edits`, or last."""

    text: str
    parent_id: UUID | None = None
    edits: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedQuestion(Asked):
    """A question that is to be answered once more; of a chat, by default the last one."""

    message_id: UUID | None


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ends that was not stored: with these events, from `number` on."""

    answer_id: UUID
    claim: Claim
    number: int = 1
    events: Sequence[ChatEvent] = ()


def begin_question(queries: Queries, new: NewQuestion) -> StoredQuestion:
    """Store a question, and that its answer is in the making.

    Raises:
        Unauthorized: the account has been deleted.
        NotFound, InvalidRequest: there is no such chat, or no such message in it.
        ChatBusy, TooManyGenerations: other answers are in the making.
    """
    background = _lock(queries, new)
    parent_id = None
    if new.chat_id is not None:
        parent_id = _parent(queries, new, _lock_chat(queries, new.account_id, new.chat_id))
    question_id = queries.begin_question(
        account_id=new.account_id,
        answer_id=new.answer_id,
        chat_id=new.chat_id,
        is_resumable=new.is_resumable,
        kept_sec=_kept_sec(new),
        message=new.text,
        model=new.model,
        parent_id=parent_id,
        process_id=new.process_id,
        title=title_from(new.text) if new.chat_id else "",
    )
    if new.is_streamed:
        new.claim.generates(queries, new.answer_id)
    past = _past(queries, new, parent_id)
    return _open_question(new, question_id, new.text, background, past)


def begin_answer(queries: Queries, repeated: RepeatedQuestion) -> StoredQuestion:
    """Have a chat's question answered once more.

    Raises:
        The same, and InvalidRequest where there is nothing to answer yet.
    """
    background = _lock(queries, repeated)
    chat = _lock_chat(queries, repeated.account_id, repeated.chat_id)
    message_id = repeated.message_id or chat["head_id"]
    if message_id is None:
        raise InvalidRequest("Nothing has been asked in this chat yet.")
    row = _find_message(queries, repeated, message_id, field="message_id")
    if row["role"] == ChatRole.ASSISTANT:
        row = _find_message(queries, repeated, row["question_id"], field="message_id")
    _begin_answer(queries, repeated, row["id"])
    past = _past(queries, repeated, row["parent_id"])
    return _open_question(repeated, row["id"], row["message"], background, past)


def begin_replay(queries: Queries, repeated: RepeatedQuestion) -> None:
    """Let others know that a question is being answered once more, outside of any chat.

    Raises:
        Unauthorized, TooManyGenerations: as above.
    """
    _lock(queries, repeated)
    assert repeated.message_id is not None, "nothing else says which"
    _begin_answer(queries, repeated, repeated.message_id)


def begin_passthrough(queries: Queries, asked: Asked) -> None:
    """Let others know of a call to the language model of which nothing is stored.

    Raises:
        Unauthorized, TooManyGenerations: as above.
    """
    _lock(queries, asked)
    queries.begin_passthrough(
        account_id=asked.account_id,
        answer_id=asked.answer_id,
        model=asked.model,
        process_id=asked.process_id,
    )


def end_turn(queries: Queries, answer_id: UUID, number: int, events: Sequence[ChatEvent]) -> bool:
    """Let everybody know that an answer has ended, with its last events, from `number` on.

    Returns whether it had not ended before.
    """
    if events:
        _insert_events(queries, answer_id, number, events)
    ended: int = queries.end_generation(id=answer_id)
    return bool(ended)


def abandon_turn(queries: Queries, ending: Ending) -> None:
    """End an answer that was not stored: sent again, its request is to be answered."""
    # One that has ended may have been stored although nobody was told: that is what is answered.
    if end_turn(queries, ending.answer_id, ending.number, ending.events):
        ending.claim.forget(queries)


def give_up(queries: Queries, answer_id: UUID, witness_id: UUID) -> bool:
    """End an answer whose process has died, and keep what its readers have seen of it.

    Whether it has died is for another process to say, the witness.

    Returns whether it was there to be ended: its process may be alive, or somebody else was faster.
    """
    list(queries.lock_owners_of_generation(id=answer_id))
    row = queries.lock_abandoned_generation(id=answer_id, process_id=witness_id)
    if row is None:
        return False
    batches = list(queries.read_all_events(id=answer_id))
    events = [one for batch in batches for one in read_events(batch["events"])]
    text = "".join(json.loads(one.data)["content"] for one in events if one.name == "message")
    if text:
        queries.insert_answer(
            id=answer_id,
            account_id=row["account_id"],
            chat_id=row["chat_id"],
            question_id=row["question_id"],
            status=MessageStatus.FAILED.value,
            model=row["model"],
            message=text,
            finish_reason=None,
            prompt_tokens=None,
            completion_tokens=None,
            cost=None,
            calls="[]",
            sources=json.dumps(row["sources"]),
            citations="[]",
            trace=json.dumps(row["trace"]) if row["trace"] else None,
        )
    if row["is_resumable"]:
        stopped = ServerStopping("The server stopped while it answered. Please ask again.")
        _insert_events(queries, answer_id, len(events) + 1, [error_event(stopped)])
        # Sent again, the request is to succeed.
        queries.forget_generation(account_id=row["account_id"], generation_id=answer_id)
    queries.end_generation(id=answer_id)
    return True


def read_background(row: dict[str, Any]) -> Background:
    """Return what an account says to know."""
    software, hardware = row["software_background"], row["hardware_background"]
    return Background(Level(software) if software else None, Level(hardware) if hardware else None)


def _begin_answer(queries: Queries, repeated: RepeatedQuestion, question_id: UUID) -> None:
    queries.begin_answer(
        account_id=repeated.account_id,
        answer_id=repeated.answer_id,
        chat_id=repeated.chat_id,
        is_resumable=repeated.is_resumable,
        kept_sec=_kept_sec(repeated),
        model=repeated.model,
        process_id=repeated.process_id,
        question_id=question_id,
    )
    if repeated.is_streamed:
        repeated.claim.generates(queries, repeated.answer_id)


def _open_question(
    asked: Asked, question_id: UUID, text: str, background: Background, past: list[PastMessage]
) -> StoredQuestion:
    """Return a question whose answer others know to be in the making."""
    return StoredQuestion(
        question_id,
        asked.account_id,
        text,
        background,
        asked.answer_id,
        asked.chat_id,
        is_open=True,
        is_resumable=asked.is_resumable,
        past=past,
        claim=asked.claim,
        is_streamed=asked.is_streamed,
    )


def _kept_sec(asked: Asked) -> int:
    return KEYED_KEPT_SEC if asked.claim.is_keyed else KEPT_SEC


def _lock(queries: Queries, asked: Asked) -> Background:
    account = queries.lock_asker(account_id=asked.account_id)
    if account is None:
        raise Unauthorized
    in_the_making = [
        row
        for row in list(
            queries.list_open_generations(account_id=asked.account_id, process_id=asked.process_id)
        )
        if row["is_alive"] or not give_up(queries, row["id"], asked.process_id)
    ]
    for row in in_the_making:
        if asked.chat_id is not None and row["chat_id"] == asked.chat_id:
            raise ChatBusy(row["id"])
    if asked.limit and len(in_the_making) >= asked.limit:
        raise TooManyGenerations(asked.limit)
    return read_background(account)


def _lock_chat(queries: Queries, account_id: UUID, chat_id: UUID | None) -> dict[str, Any]:
    chat: dict[str, Any] | None = queries.lock_chat(chat_id=chat_id, account_id=account_id)
    if chat is None:
        raise ChatNotFound
    return chat


def _parent(queries: Queries, new: NewQuestion, chat: dict[str, Any]) -> UUID | None:
    """Return the message that a question follows in its chat."""
    if new.edits is not None:
        edited = _find_message(queries, new, new.edits, field="edits")
        if edited["role"] != ChatRole.USER:
            raise InvalidRequest("edits: only a question can be replaced by another")
        parent_id: UUID | None = edited["parent_id"]
        return parent_id
    if new.parent_id is None:
        head_id: UUID | None = chat["head_id"]
        return head_id
    _find_message(queries, new, new.parent_id, field="parent_id")
    return new.parent_id


def _find_message(
    queries: Queries, asked: Asked, message_id: UUID, *, field: str
) -> dict[str, Any]:
    row: dict[str, Any] | None = queries.find_chat_message(
        id=message_id, chat_id=asked.chat_id, account_id=asked.account_id
    )
    if row is None:
        raise InvalidRequest(f"{field}: there is no such message in this chat")
    return row


def _past(queries: Queries, asked: Asked, message_id: UUID | None) -> list[PastMessage]:
    if message_id is None:
        return []
    rows = queries.read_branch(
        account_id=asked.account_id,
        chat_id=asked.chat_id,
        message_id=message_id,
        limit=PAST_MESSAGES,
    )
    newest_first = [PastMessage(row["id"], ChatRole(row["role"]), row["message"]) for row in rows]
    return newest_first[::-1]


def _insert_events(
    queries: Queries, answer_id: UUID, number: int, events: Sequence[ChatEvent]
) -> None:
    batch = {"id": str(answer_id), "number": number, "events": events}
    list(queries.insert_events(batches=json.dumps([batch])))
