"""Markdown cut into what an answer can quote: sentences, table rows and code blocks."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["Kind", "Sentence", "read_sentences", "split_sentences"]

# Longer than this, a "sentence" is rather a list without markers: its lines are taken one by one.
LONGEST_WRAPPED = 400

# Words whose full stop seldom ends a sentence, even before a capital letter.
ABBREVIATIONS = re.compile(
    "approx|apr|art|aug|ca|capt|cf|ch|co|col|corp|dec|dept|dr|ed|eds|eq|est|ex|feb|figs?|gen|gov|"
    "hon|inc|jan|jr|jul|jun|lt|ltd|mar|messrs|mrs?|ms|mt|no|nos|nov|oct|op|pp?|prof|rep|rev|sec|"
    "sept?|sgt|sr|st|viz|vols?|vs|"
    r"[A-Z]|(?:[^\W\d_]\.)+[^\W\d_]",  # initials, e.g., U.S.
    re.IGNORECASE,
)


class Kind(Enum):
    """What a sentence is in its document."""

    PROSE = auto()
    ROW = auto()
    CODE = auto()


@dataclass(frozen=True, slots=True)
class Sentence:
    """The smallest piece that is quoted whole.

    `text` has its white space collapsed and its outer pipes removed; code keeps its fences and
    lines. `marker` is the `-` or `1.` of a list item's first sentence. `block` numbers the
    paragraph, item, row or code block. `headings` are those above it in the passage, outer first.
    `parent` is the index of the sentence that leads to it: the one ending in a colon before a list
    or table, the one right before a code block.
    """

    text: str
    kind: Kind
    block: int
    marker: str = ""
    headings: tuple[str, ...] = ()
    table_header: str = ""
    parent: int | None = None

    @property
    def is_lead(self) -> bool:
        """Tell whether it ends in a colon, so that by itself it says too little."""
        return self.text.rstrip("*_").endswith(_COLONS)


def read_sentences(markdown: str) -> list[Sentence]:
    """Cut a passage into sentences, in their order."""
    lines = markdown.splitlines()
    reader = _Reader(iter(lines))
    if _starts_inside_code(lines):
        reader.read_code("```", "```")
    reader.read()
    return reader.sentences


def split_sentences(text: str) -> list[str]:
    """Split prose after its sentences, in any script that marks their ends.

    Full stops inside `code`, numbers, file names, URLs, abbreviations and initials end nothing.
    """
    masked = _INLINE_CODE.sub(lambda code: "X" * len(code[0]), text)
    parts, start = [], 0
    for end in _SENTENCE_END.finditer(masked):
        if not _goes_on(masked, end):
            parts.append(text[start : end.end()])
            start = end.end()
    parts.append(text[start:])
    sentences = []
    for part in parts:
        pieces = part.splitlines() if len(part) > LONGEST_WRAPPED else [part]
        sentences += [" ".join(piece.split()) for piece in pieces]
    return [sentence for sentence in sentences if _WORD.search(sentence)]


class _Reader:
    """Reads Markdown line by line; `_open` holds the lines of the paragraph or item being read."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.sentences: list[Sentence] = []
        self._lines = lines
        self._open: list[str] = []
        self._open_marker = ""
        self._block = 0
        self._headings: dict[int, str] = {}
        self._table_header = ""
        self._lead: int | None = None  # what the items and rows that follow belong to
        self._last: int | None = None  # what a code block that follows belongs to

    def read(self) -> None:
        for raw in self._lines:
            line = _QUOTE_MARKER.sub("", raw).strip()
            if not line.startswith("|"):
                self._table_header = ""
            if fence := _FENCE.match(line):
                self._end_block()
                self.read_code(line, fence[1])
            elif _UNDERLINE.fullmatch(line) and len(self._open) == 1 and not self._open_marker:
                self._start_section(1 if line[0] == "=" else 2, self._open.pop())
            elif not line or _NOISE.fullmatch(line):
                self._end_block()
            elif heading := _HEADING.fullmatch(line):
                self._end_block()
                self._start_section(len(heading[1]), heading[2].rstrip(" #"))
            elif line.startswith("|"):
                self._end_block()
                self._read_row(line)
            elif item := _LIST_MARKER.match(line):
                self._end_block()
                self._open_marker = item[1]
                self._open.append(line[item.end() :])
            else:
                if not self._open and not raw[:1].isspace():
                    self._lead = None  # an indented paragraph may go on in its list
                self._open.append(line)
        self._end_block()

    def read_code(self, opening: str, fence: str) -> None:
        code = []
        for line in self._lines:
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                break
            code.append(line)
        if any(line.strip() for line in code):
            text = textwrap.dedent("\n".join(code)).strip("\n")
            self._add(f"{opening}\n{text}\n{fence}", Kind.CODE, self._last)
        if self._last == self._lead:
            self._lead = None  # it led to the code
        self._last = None

    def _end_block(self) -> None:
        marker, self._open_marker = self._open_marker, ""
        is_item = bool(marker)
        sentences = split_sentences("\n".join(self._open))
        for text in sentences:
            self._last = self._add(text, parent=self._lead if is_item else None, marker=marker)
            marker = ""
        if sentences and not is_item and self.sentences[-1].is_lead:
            self._lead = self._last
        self._open.clear()
        self._block += 1

    def _start_section(self, level: int, title: str) -> None:
        self._headings = {above: text for above, text in self._headings.items() if above < level}
        self._headings[level] = title
        self._lead = self._last = None

    def _read_row(self, line: str) -> None:
        if _TABLE_RULE.fullmatch(line):
            if self.sentences and self.sentences[-1].kind is Kind.ROW:
                self._table_header = self.sentences.pop().text
            return
        row = " | ".join(" ".join(cell.split()) for cell in _CELL_END.split(line.strip("|")))
        if _WORD.search(row):
            self._add(row, Kind.ROW, self._lead)
            self._last = None

    def _add(
        self, text: str, kind: Kind = Kind.PROSE, parent: int | None = None, marker: str = ""
    ) -> int:
        headings = tuple(self._headings.values())
        header = self._table_header
        self.sentences.append(Sentence(text, kind, self._block, marker, headings, header, parent))
        return len(self.sentences) - 1


def _starts_inside_code(lines: list[str]) -> bool:
    """Tell whether a passage was cut out of its document inside a code block."""
    fences = [n for n, line in enumerate(lines) if _FENCE.match(line.strip())]
    if len(fences) % 2 == 0:
        return False
    first = fences[0]  # a closing fence says no language and stands right below the code
    return first > 0 and not lines[first].strip().strip("`~") and bool(lines[first - 1].strip())


def _goes_on(text: str, end: re.Match[str]) -> bool:
    """Tell whether the sentence goes on behind what looks like its end."""
    if end[0][0] not in ".!?…":
        return False
    following = _WORD.search(text, end.end(), end.end() + 20)
    if following and following[0].islower():
        return True
    word = text[max(0, end.start() - 20) : end.start()].split()[-1:]
    return end[0] == "." and bool(word and ABBREVIATIONS.fullmatch(word[0].lstrip(_OPENERS)))


_QUOTE_MARKER = re.compile(r"^\s*(?:>\s?)+(?:\[!\w+\])?")
_FENCE = re.compile(r"(`{3,}|~{3,})[^`]*$")
_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_UNDERLINE = re.compile(r"=+|-{2,}")
_LIST_MARKER = re.compile(r"([-*+•]|\d{1,9}[.)])\s+(?:\[[ xX]\]\s+)?")
_CELL_END = re.compile(r"(?<!\\)\|")
_TABLE_RULE = re.compile(r"[\s:|]+-[\s:|-]*")
# Lines without a sentence: rules, tags alone, markers of admonitions.
_NOISE = re.compile(r"[-*_=\s]+|(?:<[^<>]*>\s*)+|(?::::|///|!!!).*")
_INLINE_CODE = re.compile(r"`[^`]+`")
_WORD = re.compile(r"\w")
_SENTENCE_END = re.compile(
    r"(?<![.!?\u2026])[.!?\u2026]++[\"'\u2019\u201d\u00bb)\]*_]*+(?=\s)"
    # Chinese and Japanese put no space behind a sentence.
    r"|[\u3002\uff01\uff1f\uff61]+[\u300d\u300f\u2019\u201d\uff09\u3011]*"
    # Devanagari, Urdu, Arabic, Ethiopic.
    r"|[\u0964\u0965\u06d4\u061f\u1362]+"
)
_OPENERS = "([{\"'\u2018\u201c\u00ab*_"
_COLONS = (":", "\uff1a")
