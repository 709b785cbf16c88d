"""Whether a passage says what an answer says: compared by words, without a model.

A statement's score against a piece of a passage is the share of its terms that stand in the piece,
rare terms weighing more, and those that only the headings have half. Terms that stand elsewhere in
the passage count against it: they were put together from several places. The piece supports the
statement when

1. the score is at least `MIN_SCORE`;
2. every number of the statement with its unit and bound ("at least"), every name, and a word of
   every clause stands in the piece or in its headings, and every quoted string and code literal in
   the passage;
3. nothing that both speak of is negated in one and not in the other, and no word has its opposite
   in place of it;
4. no word stands in the place of another word of the piece, nor between two that follow each other;
5. the statement says something by itself, as "No." or "It does." don't: it has two terms, or is all
   that the piece says.

Code is supported when each of its lines stands in the passage, in their order.

What it can't see: a paraphrase without common words or in another language (never verified), and
terms put together wrongly ("A beat B" for "B beat A"), and words made up between others that are
not the piece's own.
"""

import math
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from app.chat import facts
from app.chat.pieces import Piece, cut
from app.chat.quantities import Quantity, agree, quantities, without_numbers
from app.chat.terms import terms, terms_of_query

__all__ = ["MIN_SCORE", "Passage", "Statement", "Support"]

MIN_SCORE = 0.5
ABOVE_WEIGHT = 0.5
ELSEWHERE_PENALTY = 3.0
FEWEST_TERMS = 2  # of a statement that is less than a whole sentence
MAX_STARTS = 10  # places where code that repeats itself may begin


class Support(NamedTuple):
    """The place in a passage that supports a statement best; `score` is from 0 to 1."""

    start: int
    end: int
    score: float
    is_enough: bool


class Statement:
    """What an answer says in front of a marker."""

    def __init__(self, text: str, *, is_code: bool = False) -> None:
        self.text = text
        self.is_code = is_code

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """Its distinct content words."""
        return terms_of_query(self.text)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Its terms that are no numbers."""
        return without_numbers(self.terms)

    @cached_property
    def plain(self) -> str:
        """All that it says, as `plain` leaves it."""
        return facts.plain(self.text)

    @cached_property
    def is_empty(self) -> bool:
        """Whether it says nothing by itself."""
        return facts.is_empty(self.text)

    @cached_property
    def quantities(self) -> frozenset[Quantity]:
        """As the piece or its headings must have them."""
        return quantities(self.text)

    @cached_property
    def names(self) -> frozenset[str]:
        """As the piece or its headings must have them."""
        return facts.names(self.text)

    @cached_property
    def clauses(self) -> list[frozenset[str]]:
        """Of each, the piece or its headings must have a term."""
        return facts.clauses(self.text)

    @cached_property
    def literals(self) -> list[str]:
        """As the passage must have them."""
        return facts.literals(self.text)

    @cached_property
    def negated(self) -> frozenset[str]:
        """Terms behind a negation."""
        return facts.negated(self.text)

    @cached_property
    def code_lines(self) -> list[str]:
        """Its lines of code, without comments and what stands for something left out."""
        lines = (facts.spaced(line) for line in self.text.splitlines())
        return [line for line in lines if _WORD.search(line) and not _COMMENT.match(line)]


class Passage:
    """A passage to compare statements with.

    Args:
        text: the passage.
        heading: what it is read under: its document's title, its headings.
    """

    def __init__(self, text: str, heading: str = "") -> None:
        self._text = text
        self._heading = heading
        pieces = cut(text)
        # Prose may be about a single line of code.
        self._pieces = [_Read(part, heading) for piece in pieces for part in piece.lines or [piece]]
        self._code = [_Code(piece.lines) for piece in pieces if piece.is_code]
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, piece in enumerate(self._pieces):
            for term in piece.terms:
                self._places[term].append(place)

    def support(self, statement: Statement) -> Support:
        """Return what supports a statement best, and whether it does."""
        return self._support_code(statement) or self._support_prose(statement)

    def _support_prose(self, statement: Statement) -> Support:
        weights = {term: self._weight(term) for term in statement.terms}
        shared: dict[int, float] = defaultdict(float)
        for term, weight in weights.items():
            for place in self._places.get(term, ()):
                shared[place] += weight
        if not shared:
            return self._nothing()
        best = self._pieces[max(shared, key=lambda place: self._rank(statement, shared, place))]
        score = self._score(weights, best)
        is_enough = not statement.is_code and score >= MIN_SCORE and self._agrees(statement, best)
        return Support(best.start, best.end, score, is_enough)

    def _rank(
        self, statement: Statement, shared: dict[int, float], place: int
    ) -> tuple[float, bool, int]:
        return shared[place], statement.plain == self._pieces[place].plain, -place

    def _score(self, weights: dict[str, float], piece: "_Read") -> float:
        covered = elsewhere = 0.0
        for term, weight in weights.items():
            if term in piece.terms:
                covered += weight
            elif term in piece.terms_above:
                covered += ABOVE_WEIGHT * weight
            elif term in self._places:
                elsewhere += weight
        return covered / (sum(weights.values()) + ELSEWHERE_PENALTY * elsewhere)

    def _agrees(self, statement: Statement, piece: "_Read") -> bool:
        common = piece.terms.intersection(statement.terms)
        known = piece.terms | piece.terms_above
        return (
            not statement.is_empty
            and (len(statement.terms) >= FEWEST_TERMS or statement.plain == piece.plain)
            and agree(statement.quantities, piece.quantities, known)
            and statement.names <= known
            and not any(clause.isdisjoint(known) for clause in statement.clauses)
            and all(literal in self._plain for literal in statement.literals)
            and not (statement.negated ^ piece.negated) & common
            and not facts.opposed(terms(statement.text), piece.terms)
            and not facts.around_unknown(statement.words, known) & piece.places(statement.words)
        )

    def _support_code(self, statement: Statement) -> Support | None:
        """Compare code line by line; None where no line of the passage's code is the same."""
        wanted = statement.code_lines if statement.is_code else []
        found = max((code.find(wanted) for code in self._code), key=len, default=[])
        if not found:
            return None
        is_enough = len(found) == len(wanted)
        return Support(found[0].start, found[-1].end, len(found) / len(wanted), is_enough)

    def _nothing(self) -> Support:
        """Return where to look, if nothing there supports the statement."""
        if self._pieces:
            return Support(self._pieces[0].start, self._pieces[0].end, 0.0, is_enough=False)
        end = len(self._text.rstrip())
        return Support(min(end, len(self._text) - len(self._text.lstrip())), end, 0.0, False)

    def _weight(self, term: str) -> float:
        return 1 + math.log((len(self._pieces) + 1) / (len(self._places.get(term, ())) + 1))

    @cached_property
    def _plain(self) -> str:
        return facts.plain(f"{self._heading}\n{self._text}")


class _Read:
    """A piece of a passage with what statements are compared by."""

    def __init__(self, piece: Piece, heading: str) -> None:
        self.start = piece.start
        self.end = piece.end
        self._text = piece.text
        self._above = (heading, *piece.above)
        self.terms = terms(piece.text)

    @cached_property
    def terms_above(self) -> frozenset[str]:
        return terms(*self._above)

    def places(self, said: Sequence[str]) -> frozenset[tuple[str, str]]:
        """Return the terms between which a word that is not here must be made up."""
        replaced = facts.around_unknown(self._words, frozenset(said))
        return replaced.union(pairwise(self._words))

    @cached_property
    def _words(self) -> tuple[str, ...]:
        return without_numbers(terms_of_query(self._text))

    @cached_property
    def plain(self) -> str:
        return facts.plain(self._text)

    @cached_property
    def quantities(self) -> frozenset[Quantity]:
        return frozenset[Quantity]().union(*map(quantities, (self._text, *self._above)))

    @cached_property
    def negated(self) -> frozenset[str]:
        return facts.negated(self._text)


class _Code:
    """The lines of a block of code."""

    def __init__(self, lines: Sequence[Piece]) -> None:
        self._lines = lines
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, line in enumerate(lines):
            self._places[facts.spaced(line.text)].append(place)

    def find(self, wanted: Sequence[str]) -> list[Piece]:
        """Return the lines that are wanted and stand here in that order, close together."""
        best: list[int] = []
        for start in self._starts(wanted):
            found: list[int] = []
            for line in wanted:
                places = self._places.get(line, ())
                index = bisect_left(places, found[-1] + 1 if found else start)
                if index < len(places):
                    found.append(places[index])
            if (len(found), -_length(found)) > (len(best), -_length(best)):
                best = found
        return [self._lines[place] for place in best]

    def _starts(self, wanted: Sequence[str]) -> list[int]:
        first = next((line for line in wanted if line in self._places), None)
        return [] if first is None else self._places[first][:MAX_STARTS]


def _length(places: Sequence[int]) -> int:
    return places[-1] - places[0] if places else 0


_WORD = re.compile(r"\w")
_COMMENT = re.compile(r"(?:#|//|--|/\*|\*)\s|\.\.\.|…")
