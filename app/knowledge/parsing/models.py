"""What a document is, and what is left of it as text."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Kind", "Parsed"]


class Kind(StrEnum):
    """A kind of document that bRAG reads; the value is its media type."""

    MARKDOWN = "text/markdown"
    MDX = "text/mdx"
    RST = "text/x-rst"
    TEXT = "text/plain"
    HTML = "text/html"
    PDF = "application/pdf"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document's text: not blank, valid Unicode, without NUL.

    `title` is what the format itself names so, if it does. `markdown` tells how to cut the text
    into passages. `note` says in words for the user what may be wrong with the text.
    """

    text: str
    title: str | None
    media_type: str
    markdown: bool
    note: str | None
