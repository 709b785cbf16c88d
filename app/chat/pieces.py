"""Markdown cut into sentences, table rows and blocks of code, each at its exact place."""

import re
from dataclasses import dataclass

from app.chat.sentences import Kind, Sentence, read_sentences

__all__ = ["Piece", "cut"]

# What is read between two sentences and is none may hold the words that a sentence begins with.
MAX_TRIES = 200
MAX_MISSES = 50


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence, a table row, or a block of code with its lines.

    `text` is exactly what stands at `start:end`, white space included, of code without its fences.
    `above` are its headings, the head of its table, the sentence that leads to it.
    """

    start: int
    end: int
    text: str
    above: tuple[str, ...]
    lines: tuple["Piece", ...] = ()

    @property
    def is_code(self) -> bool:
        """Tell whether it is a block of code; its lines are not."""
        return bool(self.lines)


def cut(markdown: str) -> list[Piece]:
    """Return the pieces of a text in their order."""
    sentences = read_sentences(markdown)
    pieces = []
    position = misses = 0
    for sentence in sentences:
        places = _locate(markdown, sentence, position)
        if not places:
            misses += 1
            if misses > MAX_MISSES:
                break
            continue
        lead = () if sentence.parent is None else (sentences[sentence.parent].text,)
        above = (*sentence.headings, sentence.table_header, *lead)
        lines: tuple[Piece, ...] = ()
        if sentence.kind is Kind.CODE:
            lines = tuple(Piece(*place, markdown[slice(*place)], above) for place in places)
        start, position = places[0][0], places[-1][1]
        pieces.append(Piece(start, position, markdown[start:position], above, lines))
    return pieces


def _locate(markdown: str, sentence: Sentence, position: int) -> list[tuple[int, int]]:
    """Return where a sentence stands, or each line of its code; nothing if it was changed."""
    if sentence.kind is Kind.CODE:
        parts = [line.strip() for line in sentence.text.splitlines()[1:-1] if line.strip()]
    else:
        parts = sentence.text.split()
    start = position - 1
    for _ in range(MAX_TRIES if parts else 0):
        start = markdown.find(parts[0], start + 1)
        if start < 0:
            return []
        places = _follow(markdown, parts, start)
        if len(places) == len(parts):
            is_code = sentence.kind is Kind.CODE
            return places if is_code else [(start, places[-1][1])]
    return []


def _follow(markdown: str, parts: list[str], start: int) -> list[tuple[int, int]]:
    """Return where the parts stand that follow each other from `start` on."""
    places: list[tuple[int, int]] = []
    for part in parts:
        if places:
            start = _next(markdown, part, start)
        if not markdown.startswith(part, start):
            break
        places.append((start, start + len(part)))
        start += len(part)
    return places


def _next(markdown: str, part: str, end: int) -> int:
    """Return where a part may begin: behind white space, or the marks of a block quote too."""
    for gap in (_SPACE, _QUOTED_SPACE):
        if (match := gap.match(markdown, end)) and markdown.startswith(part, match.end()):
            return match.end()
    return end


_SPACE = re.compile(r"\s*")
_QUOTED_SPACE = re.compile(r"[^\S\n]*(?:\n[^\S\n]*(?:>[^\S\n]*)*)+")
