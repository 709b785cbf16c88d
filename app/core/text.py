"""Texts that JSON and PostgreSQL can hold."""

import unicodedata

__all__ = ["one_line", "storable"]


def storable(text: str) -> str:
    """Return a text that can be stored.

    Raises:
        ValueError: it is empty, or holds a NUL or half of a surrogate pair.
    """
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain half of a surrogate pair") from None
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def one_line(text: str) -> str:
    """Return a text that stands in one line.

    Raises:
        ValueError: it holds an end of line or another control character.
    """
    # Names stand in lists and mails, which an end of line or an escape would disarrange.
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text):
        raise ValueError("must be one line without control characters")
    return text
