"""reStructuredText with its section titles as Markdown headings; all else stays as it is.

docutils would parse it properly, but reports every directive and role of Sphinx as an error. Titles
are all that cutting into passages needs, and three rules tell them from the rest.
"""

import re
from typing import Final

__all__ = ["rst_to_markdown"]

# The rule under (and perhaps over) a title: one of these characters, repeated.
_RULE = re.compile(r"([!-/:-@\[-`{-~])\1*\s*")
# Shorter rules must be as long as their title: docutils takes `...` and `::` for text.
_SURE_RULE: Final = 4
_NO_TITLE = re.compile(r"\s*$ | \.\.\s | [-*+]\s | >>>\s | __\s", re.VERBOSE)
_DEEPEST: Final = 6

# What would begin a heading or a fence in Markdown, and doesn't in reStructuredText.
_MISREAD = re.compile(r"\ {0,3} (?= \#{1,6}(?:\s|$) | ``` | ~~~ | =+\s*$ | -+\s*$ )", re.VERBOSE)
_CODE_INDENT: Final = "    "


def rst_to_markdown(text: str) -> str:
    """Turn section titles into Markdown headings, line for line.

    The rules around a title become blank lines, so every line keeps its number.
    """
    lines = text.split("\n")
    styles: list[tuple[str, bool]] = []  # of the titles' rules, the outermost first
    result: list[str] = []
    while len(result) < len(lines):
        at = len(result)
        starts_block = not result or not result[-1].strip()
        if starts_block and _is_overlined(lines, at):
            level = _level(styles, (lines[at][0], True))
            result += ["", f"{'#' * level} {lines[at + 1].strip()}", ""]
        elif starts_block and _is_underlined(lines, at):
            level = _level(styles, (lines[at + 1][0], False))
            result += [f"{'#' * level} {lines[at].strip()}", ""]
        else:
            result.append(_as_text(lines[at], after_text=not starts_block))
    return "\n".join(result)


def _is_overlined(lines: list[str], at: int) -> bool:
    if at + 2 >= len(lines) or not _RULE.fullmatch(lines[at]):
        return False
    over, title, under = lines[at : at + 3]
    return under.rstrip() == over.rstrip() and _fits(title.strip(), over)


def _is_underlined(lines: list[str], at: int) -> bool:
    if at + 1 >= len(lines) or lines[at][:1].isspace() or _RULE.fullmatch(lines[at]):
        return False
    rule = lines[at + 1]
    return _RULE.fullmatch(rule) is not None and _fits(lines[at].strip(), rule)


def _fits(title: str, rule: str) -> bool:
    if _NO_TITLE.match(title):
        return False
    length = len(rule.rstrip())
    return length >= min(_SURE_RULE, len(title))


def _level(styles: list[tuple[str, bool]], style: tuple[str, bool]) -> int:
    if style not in styles:
        styles.append(style)
    return min(styles.index(style) + 1, _DEEPEST)


def _as_text(line: str, *, after_text: bool) -> str:
    """The line, indented like code if Markdown would make something else of it."""
    misread = _MISREAD.match(line)
    # A rule with nothing above it underlines nothing.
    if misread is None or (not after_text and line.strip("-= \t\r") == ""):
        return line
    return _CODE_INDENT + line[misread.end() :]
