"""From a document of a known kind to its text."""

from typing import Final

from app.knowledge.exceptions import SourceUnusable
from app.knowledge.parsing.mdx import mdx_to_markdown
from app.knowledge.parsing.models import Kind, Parsed
from app.knowledge.parsing.rst import rst_to_markdown
from app.knowledge.parsing.text import decode

__all__ = ["MAX_TEXT_CHARACTERS", "convert"]

MAX_TEXT_CHARACTERS: Final = 50_000_000


def convert(kind: Kind, data: bytes, media_type: str | None) -> Parsed:
    """Turn a document into text.

    Raises:
        SourceUnusable: there is no text in it, or none that can be read.
    """
    text, title, note = _converted(kind, data, media_type)
    text = _storable(text)
    if not text or text.isspace():
        raise SourceUnusable("is empty")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise SourceUnusable(f"has more than {MAX_TEXT_CHARACTERS // 1_000_000} MB of text")
    title = title and _storable(title)
    return Parsed(text, title or None, kind.value, kind not in {Kind.TEXT, Kind.PDF}, note)


def _storable(text: str) -> str:
    """Without the NULs and halves of surrogate pairs that formats hold and PostgreSQL refuses."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _converted(
    kind: Kind, data: bytes, media_type: str | None
) -> tuple[str, str | None, str | None]:
    # The libraries are imported only for the kinds that need them.
    match kind:
        case Kind.HTML:
            from app.knowledge.parsing.html import page_to_markdown  # noqa: PLC0415

            return page_to_markdown(data, media_type)
        case Kind.PDF:
            from app.knowledge.parsing.pdf import pdf_to_text  # noqa: PLC0415

            return pdf_to_text(data)
        case Kind.DOCX:
            from app.knowledge.parsing.docx import docx_to_markdown  # noqa: PLC0415

            return docx_to_markdown(data), None, None
    text, note = decode(data)
    if kind is Kind.MDX:
        text = mdx_to_markdown(text)
    elif kind is Kind.RST:
        text = rst_to_markdown(text)
    return text, None, note
