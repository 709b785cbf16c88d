"""Links to bRAG's own page, as answers, mails and other programs give them to people."""

from uuid import UUID

from settings import Settings

__all__ = ["document_url", "public_url"]


def public_url(settings: Settings) -> str:
    """Where people reach bRAG, without a slash at the end."""
    if settings.public_url:
        return settings.public_url
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def document_url(
    settings: Settings, document_id: UUID, start: int | None = None, end: int | None = None
) -> str:
    """Return the link to a document on the page; with `start` and `end`, to a passage of it.

    Both are characters into the document's text; `end` is exclusive.
    """
    url = f"{public_url(settings)}/#/documents/{document_id}"
    return url if start is None or end is None else f"{url}?start={start}&end={end}"
