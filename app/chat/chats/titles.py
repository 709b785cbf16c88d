"""What a chat is called that nobody gave a title."""

import unicodedata
from typing import Final

from app.chat.sentences import split_sentences

__all__ = ["title_from"]

MAX_CHARACTERS: Final = 80


def title_from(question: str) -> str:
    """Return a question's first sentence, cut at a word when it is long.

    Empty when there is nothing in the question that could be read.
    """
    lines = (_readable(line) for line in question.splitlines())
    line = next(filter(None, lines), "")
    # Without a word there is no sentence: "???".
    sentence = next(iter(split_sentences(line)), line)
    return sentence if len(sentence) <= MAX_CHARACTERS else f"{_beginning(sentence)}…"


def _readable(line: str) -> str:
    """Return a line without control characters, its white space collapsed."""
    readable = (" " if unicodedata.category(one) == "Cc" else one for one in line)
    return " ".join("".join(readable).split())


def _beginning(text: str) -> str:
    beginning, _, cut_word = text[:MAX_CHARACTERS].rpartition(" ")
    # A word that is longer than what stands before it is rather cut: a URL, or a language that
    # puts no spaces between words.
    if len(cut_word) > len(beginning):
        return text[: MAX_CHARACTERS - 1]
    return beginning.rstrip(" ,;:-")
