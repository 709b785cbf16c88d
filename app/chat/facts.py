"""What a statement and its source must agree on: numbers, names, literals, which way it goes."""

import re

from app.chat.terms import STOP_WORDS, terms, terms_of_query

__all__ = ["is_empty", "literals", "names", "negated", "numbers", "opposed", "plain", "spaced"]

NEGATED_TERMS = 3  # behind a negation
NEGATED_CHARACTERS = 100


def numbers(text: str) -> frozenset[str]:
    """Return the numbers in digits, in one notation, whether they are in digits or in words."""
    digits = (_canonical(number) for number in _NUMBER.findall(text))
    words = (_IN_WORDS[word] for word in _WORD.findall(text.casefold()) if word in _IN_WORDS)
    return frozenset((*digits, *words))


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


def is_empty(text: str) -> bool:
    """Tell whether it says nothing by itself, as "It does." or "No."."""
    return all(word in STOP_WORDS for word in _WORD.findall(text.casefold()))


def plain(text: str) -> str:
    """Return a text without the marks and the white space that a quotation may change."""
    return spaced(_MARKS.sub(" ", text)).casefold()


def spaced(text: str) -> str:
    """Return a text with single spaces."""
    return " ".join(text.split())


def _canonical(number: str) -> str:
    """Return 1,000.50 as 1000.5; versions and dates such as 3.11.2 stay as they are."""
    number = number.replace(",", "")
    return number.rstrip("0").rstrip(".") if number.count(".") == 1 else number


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
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_IN_WORDS = {
    word: str(number)
    for number, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), start=2
    )
}
_NAME = re.compile(r"(?<=[\w,;)] )[A-Z][\w-]+")
_INLINE_CODE = re.compile(r"`+[^`]*`+")
_LITERAL = re.compile(
    r"`+([^`]+)`+|[\"\u201c\u201e\u00ab]([^\"\u201c\u201d\u201e\u00ab\u00bb]+)[\"\u201c\u201d\u00bb]"
)
_MARKS = re.compile(r"[^\w$@#%&+=<>/\\.:-]|(?<!\w)_|_(?!\w)|[.:](?!\w)")
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|neither|nor|without|cannot)\b|n['\u2019]t\b", re.IGNORECASE
)
_CLAUSE_END = re.compile(r"[.,;:!?()|]")
