"""What a document is: its content decides, its name and media type only between texts."""

import re
from pathlib import PurePosixPath
from typing import Final

from app.knowledge.exceptions import SourceUnusable
from app.knowledge.parsing.models import Kind
from app.knowledge.parsing.text import UTF16_BOMS

__all__ = ["kind_of"]

# PDF readers take a header anywhere in the first kilobyte; a text may quote one there.
_HEAD: Final = 1024
_PDF_HEADER = re.compile(rb"%PDF-\d\.\d")
_PDF_TRAILER: Final = b"startxref"

_ZIP: Final = b"PK\x03\x04"
# The names of a zip's members stand in it as they are; Word itself calls the main part so.
_WORD_PART: Final = b"word/document"

_HTML_DOCUMENT = re.compile(
    r"(?: \s | <\?xml [^>]* > | <!-- .*? --> )*+ < (?: !doctype \s+ html | html | body ) [\s>]",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_HTML_TAG = re.compile(rb"<\0?[a-z!/]", re.IGNORECASE)

_TEXT_SUFFIXES: Final = {
    ".md": Kind.MARKDOWN,
    ".markdown": Kind.MARKDOWN,
    ".mdx": Kind.MDX,
    ".rst": Kind.RST,
    ".txt": Kind.TEXT,
    ".html": Kind.HTML,
    ".htm": Kind.HTML,
    ".xhtml": Kind.HTML,
}
_TEXT_MEDIA_TYPES: Final = {
    "text/markdown": Kind.MARKDOWN,
    "text/x-markdown": Kind.MARKDOWN,
    "text/mdx": Kind.MDX,
    "text/x-rst": Kind.RST,
    "text/html": Kind.HTML,
    "application/xhtml+xml": Kind.HTML,
}

_FOREIGN: Final = {
    _ZIP: "it is a zip file, and not a .docx",
    b"PK\x05\x06": "it is an empty zip file",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": (
        "it is an old Office file or one with a password; save it as .docx without one"
    ),
    b"{\\rtf": "it is in Rich Text Format; save it as .docx",
    b"\x89PNG\r\n": "it is a PNG picture",
    b"\xff\xd8\xff": "it is a JPEG picture",
    b"GIF8": "it is a GIF picture",
    b"\x1f\x8b": "it is compressed with gzip",
    b"\x7fELF": "it is a program",
    b"MZ\x90\x00": "it is a program",
}


def kind_of(data: bytes, path: str, media_type: str | None) -> Kind:
    """Tell what kind of document the bytes are.

    Raises:
        SourceUnusable: they are known to be something that bRAG doesn't read.
    """
    head = data[:_HEAD]
    header = _PDF_HEADER.search(head)
    if header and (not head[: header.start()].strip() or _PDF_TRAILER in data[-2 * _HEAD :]):
        return Kind.PDF
    if head.startswith(_ZIP) and _WORD_PART in data:
        return Kind.DOCX
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise SourceUnusable(f"is not a document that bRAG can read: {what}")
    beginning = head.decode("utf-16" if head.startswith(UTF16_BOMS) else "utf-8", "ignore")
    if _HTML_DOCUMENT.match(beginning.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")):
        return Kind.HTML
    kind = _named_kind(path, media_type)
    if kind is Kind.HTML and not _HTML_TAG.search(data):
        return Kind.TEXT
    return kind


def _named_kind(path: str, media_type: str | None) -> Kind:
    kind = _TEXT_SUFFIXES.get(PurePosixPath(path).suffix.lower())
    if kind is None and media_type:
        kind = _TEXT_MEDIA_TYPES.get(media_type.partition(";")[0].strip().lower())
    return kind or Kind.TEXT
