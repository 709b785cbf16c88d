"""What a statement and its source must agree on: names, literals, which way it goes."""

import re
from collections.abc import Collection, Iterable

from app.chat.terms import STOP_WORDS, terms, terms_of_query

__all__ = [
    "around_unknown",
    "clauses",
    "is_empty",
    "literals",
    "names",
    "negated",
    "opposed",
    "plain",
    "spaced",
]

NEGATED_TERMS = 3  # behind a negation
NEGATED_CHARACTERS = 100


def names(text: str) -> frozenset[str]:
    """Return the terms of the words with a capital letter inside a sentence."""
    return terms(*_NAME.findall(_INLINE_CODE.sub("` `", text)))


def literals(text: str) -> list[str]:
    """Return what is in quotation marks or backticks, as `plain` leaves it."""
    found = (plain(match[1] or match[2]) for match in _LITERAL.finditer(text))
    return [literal for literal in found if literal]


def negated(text: str) -> frozenset[str]:
    """Return the terms right behind a negation, within its clause."""
    text = spaced(text)
    found: set[str] = set()
    for match in _NEGATION.finditer(text):
        behind = text[match.end() : match.end() + NEGATED_CHARACTERS]
        found.update(terms_of_query(_CLAUSE_END.split(behind, maxsplit=1)[0])[:NEGATED_TERMS])
    return frozenset(found)


def opposed(one: frozenset[str], other: frozenset[str]) -> bool:
    """Tell whether some terms say the opposite of others, as "enabled" and "disabled" do."""
    return any(
        (a in one and b in other and a not in other and b not in one)
        or (b in one and a in other and b not in other and a not in one)
        for a, b in _OPPOSITES
    )


def around_unknown(sequence: Iterable[str], known: Collection[str]) -> frozenset[tuple[str, str]]:
    """Return the two known terms around each single unknown one; an empty one is an end."""
    bounded = ("", *sequence, "")
    return frozenset(
        (before, after)
        for before, term, after in zip(bounded, bounded[1:], bounded[2:], strict=False)
        if term not in known and {before, after} <= {"", *known}
    )


def clauses(text: str) -> list[frozenset[str]]:
    """Return the terms of each clause that says something."""
    found = _CLAUSE.split(text)
    return [frozenset(terms_of_query(clause)) for clause in found if not is_empty(clause)]


def is_empty(text: str) -> bool:
    """Tell whether it says nothing by itself, as "It does." or "No."."""
    return all(word in STOP_WORDS for word in _WORD.findall(text.casefold()))


def plain(text: str) -> str:
    """Return a text without the marks and the white space that a quotation may change."""
    return spaced(_MARKS.sub(" ", text)).casefold()


def spaced(text: str) -> str:
    """Return a text with single spaces."""
    return " ".join(text.split())


# As stems.
_OPPOSITES = (
    ("abov", "below"),
    ("after", "befor"),
    ("alway", "never"),
    ("ascend", "descend"),
    ("decreas", "increas"),
    ("disabl", "enabl"),
    ("east", "west"),
    ("fals", "true"),
    ("fewer", "more"),
    ("first", "last"),
    ("higher", "lower"),
    ("largest", "smallest"),
    ("less", "more"),
    ("max", "min"),
    ("maximum", "minimum"),
    ("newest", "oldest"),
    ("no", "yes"),
    ("north", "south"),
)
_WORD = re.compile(r"[^\W_]+")
_NAME = re.compile(r"(?<=[\w,;)] )[A-Z][\w-]+")
_INLINE_CODE = re.compile(r"`+[^`]*`+")
_LITERAL = re.compile(
    r"`+([^`]+)`+|[\"\u201c\u201e\u00ab]([^\"\u201c\u201d\u201e\u00ab\u00bb]+)[\"\u201c\u201d\u00bb]"
)
_MARKS = re.compile(r"[^\w$@#%&+=<>/\\.:-]|(?<!\w)_|_(?!\w)|[.:](?!\w)")
# "No more than" is a bound.
_NEGATION = re.compile(
    r"\b(?:not?(?! \w+ than\b)|never|none|neither|nor|without|cannot)\b|n['\u2019]t\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"; | [-\u2013\u2014] |, (?:and|but|or|so|which|while|then)\b")
_CLAUSE_END = re.compile(r"[.,;:!?()|]")
