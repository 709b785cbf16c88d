"""Numbers with what makes them others: the unit behind them, and "at least" before them."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from app.chat.terms import STOP_WORDS, terms

__all__ = ["Quantity", "agree", "quantities", "without_numbers"]


class Quantity(NamedTuple):
    """A number in digits, in one notation; `bound` and `unit` are empty where there is none."""

    number: str
    bound: str
    unit: str


def quantities(text: str) -> frozenset[Quantity]:
    """Return the numbers of a text, in digits or in words."""
    return frozenset(_read(" ".join(text.split()).casefold()))


def without_numbers(sequence: Iterable[str]) -> tuple[str, ...]:
    """Return the terms that are no numbers, and no part of what bounds them."""
    return tuple(term for term in sequence if not term.isdecimal() and term not in _OF_NUMBERS)


def agree(said: frozenset[Quantity], written: frozenset[Quantity], words: frozenset[str]) -> bool:
    """Tell whether all that is said is written, among these terms.

    A word behind a number need not be its unit, so it may also be written somewhere else, unless
    it is the unit of another number there.
    """
    units = {quantity.unit for quantity in written}
    return all(
        any(
            (number, bound) == (other.number, other.bound)
            and (unit in {"", other.unit} or not other.unit or unit in words - units)
            for other in written
        )
        for number, bound, unit in said
    )


def _read(text: str) -> Iterator[Quantity]:
    for match in _QUANTITY.finditer(text):
        before = text[max(0, match.start() - _LONGEST_BOUND) : match.start()]
        bound = _BOUND_BEHIND.match(text, match.end()) or _BOUND.search(before)
        word = match["unit"] or match["currency"] or ""
        unit = "" if word in STOP_WORDS else _UNITS.get(word, word)
        yield Quantity(
            number=_IN_WORDS.get(match["word"]) or _canonical(match["number"]),
            bound=(bound and bound.lastgroup) or "",
            unit=next(iter(terms(unit)), ""),
        )


def _canonical(number: str) -> str:
    """Return 1,000.50 as 1000.5; versions and dates such as 3.11.2 stay as they are."""
    number = number.replace(",", "")
    return number.rstrip("0").rstrip(".") if number.count(".") == 1 else number


_IN_WORDS = {
    word: str(number)
    for number, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), start=2
    )
}
_OF_NUMBERS = {*_IN_WORDS, "least", "less", "fewer", "exceed"}
_QUANTITY = re.compile(
    r"(?P<currency>[$€£¥])? ?"
    rf"(?:(?P<number>\d+(?:[.,]\d+)*)|\b(?P<word>{'|'.join(_IN_WORDS)})\b)"
    r"[*_`]*(?:[ -]?[*_`]*(?P<unit>[^\W\d_]+|%))?"
)
_LONGEST_BOUND = 40
_BOUND = re.compile(
    r"\b(?:(?P<at_most>at most|up to|maximum|not? (?:more|longer|greater|larger|higher) than)"
    r"|(?P<at_least>at least|minimum|not? (?:less|fewer|smaller|lower|shorter) than)"
    r"|(?P<less>under|below|(?:less|fewer|smaller|lower|shorter) than)"
    r"|(?P<more>over|above|exceed(?:s|ed|ing)?|(?:more|longer|greater|larger|higher) than))"
    r"(?: (?:about|an?|by|is|of|the))*[ *_`]*\Z"
)
_BOUND_BEHIND = re.compile(
    r" or (?:(?P<at_least>more|longer|greater|larger|higher|above|over)"
    r"|(?P<at_most>less|fewer|smaller|shorter|lower|below|under))\b"
)
_UNITS = {
    **dict.fromkeys(("s", "sec", "secs"), "second"),
    **dict.fromkeys(("min", "mins"), "minute"),
    **dict.fromkeys(("h", "hr", "hrs"), "hour"),
    "ms": "millisecond",
    "%": "percent",
    "$": "dollar",
    "€": "euro",
    "£": "pound",
    "¥": "yen",
}
