"""Lists in pages: a cursor names the last row of a page by its time and id."""

import base64
from datetime import UTC, datetime
from uuid import UUID

from fastapi import Request, Response

from app.core.exceptions import InvalidRequest

__all__ = ["decode_cursor", "encode_cursor", "link_to_next_page"]


def encode_cursor(created_at: datetime, row_id: UUID) -> str:
    """Return the cursor of the page that follows this row."""
    return base64.urlsafe_b64encode(f"{created_at.isoformat()} {row_id}".encode()).decode()


def decode_cursor(cursor: str | None) -> tuple[datetime | None, UUID | None]:
    """Return the row that a page follows; two times None for the first page.

    Raises:
        InvalidRequest: the cursor is not one of ours.
    """
    if not cursor:
        return None, None
    try:
        time, row_id = base64.urlsafe_b64decode(cursor).decode().rsplit(" ", 1)
        # In UTC: PostgreSQL doesn't know every offset that Python does.
        return datetime.fromisoformat(time).astimezone(UTC), UUID(row_id)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            "cursor: use the one from the Link header of the page before"
        ) from None


def link_to_next_page(request: Request, response: Response, cursor: str | None) -> None:
    """Say in the `Link` header where the next page is, if there is one."""
    if cursor:
        url = request.url.include_query_params(cursor=cursor)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
