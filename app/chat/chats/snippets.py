"""The words around what was searched for."""

import re
from typing import Final

__all__ = ["like_pattern", "snippet"]

AROUND_CHARACTERS: Final = 60


def like_pattern(text: str) -> str:
    r"""Return the pattern of what contains a text; `%`, `_` and `\` stand for themselves."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"


def snippet(text: str, searched: str) -> str:
    """Return a few words around the first match, in one line; else the first words."""
    # PostgreSQL has found it, but may think otherwise of which letters are the same.
    match = re.search(re.escape(searched), text, re.IGNORECASE)
    first, last = match.span() if match else (0, 0)
    start, end = max(0, first - AROUND_CHARACTERS), last + AROUND_CHARACTERS
    before, after = text[start:first], text[last:end]
    if start > 0:
        before = "…" + _from_a_word(before)
    if end < len(text):
        after = _from_a_word(after[::-1])[::-1] + "…"
    return " ".join(f"{before}{text[first:last]}{after}".split())


def _from_a_word(text: str) -> str:
    """Return a text without the word that it may begin within; all of it if that is all."""
    _, space, rest = text.partition(" ")
    return rest if space else text
