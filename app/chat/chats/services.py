"""Creating, finding, changing and deleting chats."""

from typing import Any
from uuid import UUID

from app.accounts.models import Caller
from app.chat.chats.exceptions import ChatNotFound, MessageNotFound
from app.chat.chats.models import Chat, ChatChange, ListedChat, NewChat
from app.chat.chats.snippets import like_pattern, snippet
from app.core.database import Database, Queries
from app.core.paging import decode_cursor, encode_cursor

__all__ = ["create", "delete", "find", "find_page", "update"]


async def create(database: Database, caller: Caller, new: NewChat) -> Chat:
    """Begin a chat without messages."""
    return Chat(**await database.run(_create, caller.account_id, new))


async def find(database: Database, caller: Caller, chat_id: UUID) -> Chat:
    """Return a chat.

    Raises:
        ChatNotFound: the caller has no such chat.
    """
    return Chat(**await database.run_statement(_find, caller.account_id, chat_id))


async def find_page(
    database: Database, caller: Caller, *, search: str | None, limit: int, cursor: str | None
) -> tuple[list[ListedChat], str | None]:
    """Return a page of the caller's chats, latest used first, and the cursor of the next page.

    Raises:
        InvalidRequest: the cursor is not one of ours.
    """
    time, last_id = decode_cursor(cursor)
    rows = await database.run_statement(
        lambda queries: list(
            queries.list_chats(
                account_id=caller.account_id,
                pattern=None if search is None else like_pattern(search),
                before_time=time,
                before_id=last_id,
                limit=limit + 1,
            )
        )
    )
    page = [
        ListedChat(**row, snippet=None if search is None else snippet(row["found"], search))
        for row in rows[:limit]
    ]
    more = len(rows) > limit
    return page, encode_cursor(page[-1].updated_at, page[-1].id) if more else None


async def update(database: Database, caller: Caller, chat_id: UUID, change: ChatChange) -> Chat:
    """Rename a chat, or show another branch of it.

    Raises:
        ChatNotFound: the caller has no such chat.
        MessageNotFound: the head is none of its messages.
    """
    return Chat(**await database.run(_update, caller.account_id, chat_id, change))


async def delete(database: Database, caller: Caller, chat_id: UUID) -> None:
    """Remove a chat with everything that belongs to it.

    Raises:
        ChatNotFound: the caller has no such chat.
    """
    deleted = await database.run_statement(
        lambda queries: queries.delete_chat(account_id=caller.account_id, chat_id=chat_id)
    )
    if not deleted:
        raise ChatNotFound


def _create(queries: Queries, account_id: UUID, new: NewChat) -> dict[str, Any]:
    chat_id = queries.insert_chat(account_id=account_id, title=new.title or "")
    return _find(queries, account_id, chat_id)


def _find(queries: Queries, account_id: UUID, chat_id: UUID) -> dict[str, Any]:
    row: dict[str, Any] | None = queries.find_chat(account_id=account_id, chat_id=chat_id)
    if row is None:
        raise ChatNotFound
    return row


def _update(
    queries: Queries, account_id: UUID, chat_id: UUID, change: ChatChange
) -> dict[str, Any]:
    _find(queries, account_id, chat_id)
    head_id = None
    if change.head_id is not None:
        head_id = queries.find_newest_after(
            account_id=account_id, chat_id=chat_id, message_id=change.head_id
        )
        if head_id is None:
            raise MessageNotFound("There is no such message in this chat.")
    queries.update_chat(account_id=account_id, chat_id=chat_id, title=change.title, head_id=head_id)
    return _find(queries, account_id, chat_id)
