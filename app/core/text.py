"""Texts that JSON and PostgreSQL can hold."""

__all__ = ["storable"]


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
