"""PDF as plain text."""

import io
import logging
import re
from typing import Final

from pypdf import PdfReader
from pypdf.errors import DependencyError

from app.knowledge.exceptions import SourceUnusable

__all__ = ["pdf_to_text"]

_ENCRYPTED: Final = "is encrypted: save it without a password"
_LINE_END_HYPHEN = re.compile(r"(?<=[^\W\d_])-\n(?=[^\W\d_])")
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\u00ad": ""}
)
# What programs put where the title belongs.
_NO_TITLE = re.compile(
    r"\s*(untitled|microsoft \w+ - .*|.*\.(docx?|dvi|indd|pdf|pptx?|qxd|rtf|tex|xlsx?)\s*)?$",
    re.IGNORECASE | re.DOTALL,
)


def pdf_to_text(data: bytes) -> tuple[str, str | None, str | None]:
    """Extract the text of all pages, with a blank line between them.

    Returns the text, the document's title, and a note about pages that can't be read.
    """
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it complains of every broken byte
    reader = PdfReader(io.BytesIO(data))
    try:
        if reader.is_encrypted and not reader.decrypt(""):
            raise SourceUnusable(_ENCRYPTED)
        texts, failed = _pages(reader)
    except DependencyError:
        raise SourceUnusable(_ENCRYPTED) from None
    text = "\n\n".join(texts).translate(_LIGATURES)
    if not text.strip():
        if failed:
            raise SourceUnusable("is damaged: none of its pages can be read")
        raise SourceUnusable("has no text, only pictures: recognise its text (OCR) first")
    note = f"pages that can't be read: {', '.join(map(str, failed))}" if failed else None
    return _LINE_END_HYPHEN.sub("", text), _title(reader), note


def _pages(reader: PdfReader) -> tuple[list[str], list[int]]:
    """The texts of the pages, and the numbers of those that can't be read."""
    texts, failed = [], []
    for number, page in enumerate(reader.pages, start=1):
        try:
            texts.append(page.extract_text().strip())
        except (MemoryError, DependencyError):
            raise
        except Exception:  # noqa: BLE001 - a damaged page may make pypdf raise anything
            failed.append(number)
    return [text for text in texts if text], failed


def _title(reader: PdfReader) -> str | None:
    try:
        title = str((reader.metadata and reader.metadata.title) or "")
    except Exception:  # noqa: BLE001 - as above; the text is what matters
        return None
    return None if _NO_TITLE.fullmatch(title) else " ".join(title.split())
