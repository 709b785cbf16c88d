"""Citations checked: for each marker of an answer, the passage's own words that support it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from app.chat.markers import Marker, clean
from app.chat.pieces import Piece, cut
from app.chat.support import Passage, Statement

__all__ = ["Citable", "Cited", "check"]

FEW_TERMS = 2  # of a part of a sentence, which is too little to be checked by itself


@dataclass(frozen=True, slots=True)
class Citable:
    """A passage that an answer may cite as `[number]`.

    `start` is the offset of `text[0]` in its document. `heading` is what the passage is read under
    and doesn't say itself: title, headings.
    """

    number: int
    text: str
    start: int
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Cited:
    """What a marker leads to: `quote` stands at `start:end` of the document.

    `score`, from 0 to 1, says how well it supports what the answer says there; `verified`, whether
    it does, by the rule in `support`.
    """

    marker: int
    quote: str
    start: int
    end: int
    verified: bool
    score: float


def check(answer: str, passages: Sequence[Citable]) -> list[Cited]:
    """Return what the answer's markers lead to, in the order in which they first stand there.

    Markers to no passage lead nowhere, so there is nothing for them. Where one quote stands for
    several statements with the same marker, it is verified only if it supports all of them.
    """
    by_number = {passage.number: passage for passage in passages}
    text, markers = clean(answer, max(by_number, default=0))
    read: dict[int, Passage] = {}
    found: dict[tuple[int, int, int], Cited] = {}
    seen = set()
    for marker, statement in _statements(text, markers):
        passage = by_number.get(marker.number)
        if passage is None or (marker.number, statement.text) in seen:
            continue
        seen.add((marker.number, statement.text))
        if passage.number not in read:
            read[passage.number] = Passage(passage.text, passage.heading)
        support = read[passage.number].support(statement)
        key = (passage.number, support.start, support.end)
        other = found.get(key)
        found[key] = Cited(
            marker=passage.number,
            quote=passage.text[support.start : support.end],
            start=passage.start + support.start,
            end=passage.start + support.end,
            verified=support.is_enough and (other is None or other.verified),
            score=round(support.score if other is None else min(support.score, other.score), 4),
        )
    return list(found.values())


def _statements(text: str, markers: Sequence[Marker]) -> Iterator[tuple[Marker, Statement]]:
    """Yield each marker with what the answer says there.

    That is the sentence, row or code block that the marker stands in or behind, or before at the
    beginning of a line. Of a sentence with markers in several places, each stands for the part
    since the last one, if that says enough.
    """
    bare, places = _without(text, markers)
    pieces = cut(bare)
    if not pieces:
        yield from ((marker, Statement("")) for marker in markers)
        return
    groups = [list(group) for _, group in groupby(zip(markers, places, strict=True), itemgetter(1))]
    owners = list(_owners(bare, pieces, [group[0][1] for group in groups]))
    since = 0
    for number, (group, owner) in enumerate(zip(groups, owners, strict=True)):
        piece, place = pieces[owner], group[0][1]
        is_last = owners[number + 1 : number + 2] != [owner]
        part = bare[max(piece.start, since) : piece.end if is_last else place]
        statement = Statement(part, is_code=piece.is_code)
        if len(statement.terms) <= FEW_TERMS:
            statement = Statement(piece.text, is_code=piece.is_code)
        for marker, _ in group:
            yield marker, statement
        since = place


def _without(text: str, markers: Sequence[Marker]) -> tuple[str, list[int]]:
    """Return the text without its markers and the space before each, and where they stood."""
    bare: list[str] = []
    places = []
    length = position = 0
    for marker in markers:
        part = text[position : marker.start]
        bare.append(part.removesuffix(" "))
        length += len(bare[-1])
        places.append(length)
        position = marker.end
    return "".join((*bare, text[position:])), places


def _owners(bare: str, pieces: Sequence[Piece], places: Sequence[int]) -> Iterator[int]:
    """Yield the index of the piece that each place belongs to; there must be one."""
    owner = 0
    for place in places:
        while owner + 1 < len(pieces) and _is_in_reach(bare, pieces[owner + 1].start, place):
            owner += 1
        yield owner


def _is_in_reach(bare: str, start: int, place: int) -> bool:
    """Tell whether a marker at `place` stands in or behind what begins at `start`, or before it."""
    if start < place:
        return True
    before = bare[max(0, place - _LONGEST_BEGINNING) : place]
    begins_line = _LINE_BEGINNING.fullmatch(before.rpartition("\n")[2])
    return bool(begins_line) and bare.find("\n", place, start) < 0


_LONGEST_BEGINNING = 40
_LINE_BEGINNING = re.compile(r"[\s>|]*(?:(?:[-*+•]|\d{1,9}[.)])\s*)?")
