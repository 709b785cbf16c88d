"""Stored messages, newest first, in pages."""

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.chat.models import StoredMessage, TokenUsage
from app.core.database import Database, Queries
from app.core.exceptions import InvalidRequest

__all__ = ["list_messages"]


async def list_messages(
    database: Database, *, limit: int, cursor: str | None
) -> tuple[list[StoredMessage], str | None]:
    """Return a page of messages and the cursor of the next page, if there is one.

    Raises:
        InvalidRequest: the cursor is not one of ours.
    """
    time, message_id = _decode(cursor) if cursor else (None, None)
    rows = await database.run_statement(_list, limit + 1, time, message_id)
    page = [_stored_message(row) for row in rows[:limit]]
    more = len(rows) > limit
    return page, _encode(page[-1]) if more else None


def _list(
    queries: Queries, limit: int, time: datetime | None, message_id: UUID | None
) -> list[dict[str, Any]]:
    return list(queries.list_messages(limit=limit, before_time=time, before_id=message_id))


def _stored_message(row: dict[str, Any]) -> StoredMessage:
    usage = TokenUsage(
        prompt_tokens=row.pop("prompt_tokens"), completion_tokens=row.pop("completion_tokens")
    )
    return StoredMessage(**row, usage=usage)


def _encode(message: StoredMessage) -> str:
    position = f"{message.created_at.isoformat()} {message.id}"
    return base64.urlsafe_b64encode(position.encode()).decode()


def _decode(cursor: str) -> tuple[datetime, UUID]:
    try:
        time, message_id = base64.urlsafe_b64decode(cursor).decode().rsplit(" ", 1)
        # In UTC: PostgreSQL doesn't know every offset that Python does.
        return datetime.fromisoformat(time).astimezone(UTC), UUID(message_id)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            "cursor: use the one from the Link header of the page before"
        ) from None
