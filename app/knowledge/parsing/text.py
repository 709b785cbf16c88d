"""Bytes into text."""

import codecs
from typing import Final

from app.knowledge.exceptions import SourceUnusable

__all__ = ["UTF16_BOMS", "decode"]

UTF16_BOMS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_BINARY: Final = "is not text: it contains NUL bytes"


def decode(data: bytes) -> tuple[str, str | None]:
    """Decode UTF-8, UTF-16 with a byte order mark, or Windows-1252.

    Returns the text without a byte order mark, and a note for the user when its encoding was
    guessed.

    Raises:
        SourceUnusable: it is anything else, which is better left out than read wrongly.
    """
    note = None
    if data.startswith(UTF16_BOMS):
        try:
            text = data.decode("utf-16")
        except UnicodeDecodeError:
            raise SourceUnusable("begins like UTF-16, but is not: save it as UTF-8") from None
    elif b"\0" in data:
        raise SourceUnusable(_BINARY)
    else:
        data = data.removeprefix(codecs.BOM_UTF8)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text, note = _decode_windows(data), "not UTF-8; read as Windows-1252"
    if "\0" in text:
        raise SourceUnusable(_BINARY)
    return text, note


def _decode_windows(data: bytes) -> str:
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        # ISO 8859-1 would take any bytes, and make nonsense of Shift JIS or a damaged file.
        raise SourceUnusable("is neither UTF-8 nor Windows-1252: save it as UTF-8") from None
