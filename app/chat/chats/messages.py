"""The messages of a chat: those of one branch, and each by itself."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from anyio import to_thread

from app.accounts.models import Caller
from app.chat.chats.exceptions import ChatNotFound, MessageNotFound
from app.chat.chats.models import ListedMessage
from app.chat.constants import ChatRole
from app.chat.history import stored_message
from app.chat.markdown import to_blocks
from app.chat.models import StoredMessage
from app.core.database import Database, Queries
from app.core.exceptions import InvalidRequest
from app.core.paging import decode_cursor, encode_cursor

__all__ = ["find_message", "find_messages", "with_html"]


async def find_messages(
    database: Database,
    caller: Caller,
    chat_id: UUID,
    *,
    leaf_id: UUID | None,
    limit: int,
    cursor: str | None,
) -> tuple[list[ListedMessage], str | None]:
    """Return a page of a branch, newest first, and the cursor of the next page.

    The branch is the one that the chat shows, or the one that leads through `leaf_id`.

    Raises:
        ChatNotFound: the caller has no such chat.
        MessageNotFound: the leaf is none of its messages.
        InvalidRequest: the cursor is not one of ours.
    """
    _, next_id = decode_cursor(cursor)
    rows = await database.run(
        _find_messages, caller.account_id, chat_id, leaf_id, next_id, limit + 1
    )
    page = [_listed(row) for row in rows[:limit]]
    # It names the message that the next page begins with: another branch may be shown by then.
    following = [encode_cursor(row["created_at"], row["id"]) for row in rows[limit:]]
    return page, following[0] if following else None


async def with_html(messages: Sequence[ListedMessage]) -> list[ListedMessage]:
    """Return the same messages, answers with what they look like."""
    # One by one: others want a thread, too.
    return [
        message.model_copy(update={"html": await to_thread.run_sync(to_blocks, message.message)})
        if message.role is ChatRole.ASSISTANT
        else message
        for message in messages
    ]


async def find_message(database: Database, caller: Caller, message_id: UUID) -> StoredMessage:
    """Return a message.

    Raises:
        MessageNotFound: the caller has no such message.
    """
    row = await database.run_statement(
        lambda queries: queries.find_stored_message(
            account_id=caller.account_id, message_id=message_id
        )
    )
    if row is None:
        raise MessageNotFound
    return stored_message(row)


def _find_messages(
    queries: Queries,
    account_id: UUID,
    chat_id: UUID,
    leaf_id: UUID | None,
    next_id: UUID | None,
    limit: int,
) -> list[dict[str, Any]]:
    chat = queries.find_head(account_id=account_id, chat_id=chat_id)
    if chat is None:
        raise ChatNotFound
    first_id = next_id or chat["head_id"]
    if next_id is None and leaf_id is not None:
        first_id = queries.find_newest_after(
            account_id=account_id, chat_id=chat_id, message_id=leaf_id
        )
        if first_id is None:
            raise MessageNotFound("There is no such message in this chat.")
    rows = list(
        queries.list_chat_messages(
            account_id=account_id, chat_id=chat_id, message_id=first_id, limit=limit
        )
    )
    if next_id is not None and not rows:
        raise InvalidRequest("cursor: use the one from the Link header of the page before")
    return rows


def _listed(row: dict[str, Any]) -> ListedMessage:
    alternatives = row.pop("alternatives")
    return ListedMessage(**dict(stored_message(row)), alternatives=alternatives)
