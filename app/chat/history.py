"""Stored messages, newest first, in pages."""

from datetime import datetime
from typing import Any
from uuid import UUID

from app.accounts.models import Caller
from app.chat.models import StoredMessage, TokenUsage
from app.core.database import Database, Queries
from app.core.paging import decode_cursor, encode_cursor

__all__ = ["list_messages", "pop_usage", "stored_message"]


async def list_messages(
    database: Database, caller: Caller, *, limit: int, cursor: str | None
) -> tuple[list[StoredMessage], str | None]:
    """Return a page of the caller's messages and the cursor of the next page, if there is one.

    Raises:
        InvalidRequest: the cursor is not one of ours.
    """
    time, message_id = decode_cursor(cursor)
    rows = await database.run_statement(_list, caller.account_id, limit + 1, time, message_id)
    page = [stored_message(row) for row in rows[:limit]]
    more = len(rows) > limit
    return page, encode_cursor(page[-1].created_at, page[-1].id) if more else None


def _list(
    queries: Queries, account_id: UUID, limit: int, time: datetime | None, message_id: UUID | None
) -> list[dict[str, Any]]:
    rows = queries.list_messages(
        account_id=account_id, limit=limit, before_time=time, before_id=message_id
    )
    return list(rows)


def stored_message(row: dict[str, Any]) -> StoredMessage:
    """Return a message from its columns."""
    usage = pop_usage(row)
    return StoredMessage(**row, usage=usage)


def pop_usage(row: dict[str, Any]) -> TokenUsage:
    """Take what an answer has used out of its columns."""
    return TokenUsage(
        prompt_tokens=row.pop("prompt_tokens"),
        completion_tokens=row.pop("completion_tokens"),
        cost=row.pop("cost"),
    )
