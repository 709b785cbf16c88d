"""Where JSX tags and JavaScript's module statements end: as much of the grammar as that takes.

Whoever goes on where it ended, or where it stopped making sense, takes linear time.
"""

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["LIMIT", "Tag", "end_of_statement", "read_tag"]

# Longer than any tag or statement that somebody wrote by hand.
LIMIT: Final = 20_000

_NAME = re.compile(r"<(?P<slash>/?)(?P<name>[A-Za-z][\w.:-]*|(?=>))")
_ATTRIBUTE = re.compile(
    r"""\s*+ (?: (?P<end> /?> ) | (?P<brace> \{ )
      | (?P<name> [A-Za-z_$][\w.:$-]*+ )
        (?: \s*+ = \s*+ (?: "(?P<double>[^"]*)" | '(?P<single>[^']*)' | (?P<value_brace> \{ ) ) )?+
    )""",
    re.VERBOSE,
)
_JAVASCRIPT = re.compile(
    r"""[^{}()\[\]"'`/\n]++
      | "(?:\\.|[^"\\\n])*+" | '(?:\\.|[^'\\\n])*+' | `(?:\\.|[^`\\])*+`
      | //[^\n]*+ | /\*.*?\*/
      | .""",
    re.VERBOSE | re.DOTALL,
)
# The next line goes on with the statement: it is indented, or closes a bracket.
_CONTINUATION = re.compile(r"[^\S\n]+\S|[)\]}]")


@dataclass(frozen=True, slots=True)
class Tag:
    """`text[start:end]`, with the names and string values of its attributes."""

    start: int
    end: int
    name: str
    opens: bool
    closes: bool
    attributes: dict[str, str]


def read_tag(text: str, start: int) -> Tag | int:
    """Read the tag that begins at `start`; where it stops being one if it is none."""
    name = _NAME.match(text, start)
    if name is None:
        return start + 1
    limit = start + LIMIT
    attributes: dict[str, str] = {}
    at = name.end()
    while found := _ATTRIBUTE.match(text, at, limit):
        at = found.end()
        if found["end"]:
            closes = bool(name["slash"]) or found["end"] == "/>"
            return Tag(start, at, name["name"], not name["slash"], closes, attributes)
        if found["brace"] or found["value_brace"]:
            end = _end_of_braces(text, at, limit)
            if end is None:
                return min(limit, len(text))
            at = end
        elif found["name"]:
            attributes[found["name"]] = found["double"] or found["single"] or ""
    return at


def end_of_statement(text: str, start: int) -> tuple[int, bool]:
    """Find the end of the line that ends the `import` or `export` statement at `start`.

    Returns where it stops being one, and False, if its brackets don't match.
    """
    depth = 0
    for token in _JAVASCRIPT.finditer(text, start, start + LIMIT):
        if token[0] in "({[":
            depth += 1
        elif token[0] in ")}]":
            depth -= 1
        elif token[0] == "\n" and depth <= 0 and not _CONTINUATION.match(text, token.end()):
            return token.start(), True
    end = min(start + LIMIT, len(text))
    return end, depth <= 0 and end == len(text)


def _end_of_braces(text: str, start: int, limit: int) -> int | None:
    depth = 1
    for token in _JAVASCRIPT.finditer(text, start, limit):
        if token[0] == "{":
            depth += 1
        elif token[0] == "}":
            depth -= 1
            if depth == 0:
                return token.end()
    return None
