"""Markdown cut into what an answer can quote: sentences, table rows and code blocks."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["Kind", "Sentence", "read_sentences", "split_sentences"]

# Longer than this, a "sentence" is rather a list without markers: its lines are taken one by one.
LONGEST_WRAPPED = 400

# A line in bold, or a question, that stands alone is a heading below all others.
LOWEST_LEVEL = 7
LONGEST_HEADING = 160
LONGEST_TITLE = 60

DEEPEST_LIST = 6

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
    paragraph, item, row or code block. `headings` are those above it in the passage, outer first,
    bold lines and questions that stand alone included. `parent` is the index of the sentence that
    leads to it: the one ending in a colon before a list or table, the item around a nested item,
    the sentence right before a code block. `is_title`: short, without an end, a paragraph of its
    own, so rather a heading than a statement.
    """

    text: str
    kind: Kind
    block: int
    marker: str = ""
    headings: tuple[str, ...] = ()
    table_header: str = ""
    parent: int | None = None
    is_title: bool = False

    @property
    def is_lead(self) -> bool:
        """Tell whether it ends in a colon, so that by itself it says too little."""
        return self.text.rstrip("*_").endswith(_COLONS)

    @property
    def is_step(self) -> bool:
        """Tell whether it begins a numbered item."""
        return self.marker[:1].isdigit()

    @property
    def is_question(self) -> bool:
        """Tell whether it asks, so that the answer stands elsewhere."""
        return self.text.rstrip("*_").endswith(_QUESTION_MARKS)


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
        self._open_indent = 0
        self._block = 0
        self._headings: dict[int, str] = {}
        self._table_header = ""
        self._lead: int | None = None  # what the items and rows that follow belong to
        self._items: list[tuple[int, int]] = []  # indent and sentence of the items around
        self._last: int | None = None  # what a code block that follows belongs to

    def read(self) -> None:
        for raw in self._lines:
            unquoted = _QUOTE_MARKER.sub("", raw).expandtabs(4)
            line = unquoted.strip()
            if not line.startswith("|"):
                self._table_header = ""
            if fence := _FENCE.match(line):
                self._end_block()
                self.read_code(line, fence[1])
            elif _UNDERLINE.fullmatch(line) and len(self._open) == 1 and not self._open_marker:
                self._start_section(1 if line[0] == "=" else 2, self._open.pop())
            elif not line or _NOISE.fullmatch(line):
                self._end_block()
            elif unfinished := _UNFINISHED.fullmatch(line):
                self._end_block()
                self._skip_to(">" if unfinished["tag"] else "from")
            elif heading := _HEADING.fullmatch(line):
                self._end_block()
                self._start_section(len(heading[1]), heading[2])
            elif line.startswith("|"):
                self._end_block()
                self._read_row(line)
            else:
                self._read_text(line, len(unquoted) - len(unquoted.lstrip()))
        self._end_block()

    def read_code(self, opening: str, fence: str) -> None:
        code = []
        for line in self._lines:
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                break
            code.append(line)
        if any(line.strip() for line in code):
            text = textwrap.dedent("\n".join(code)).strip("\n")
            self._add(f"{opening}\n{text}\n{fence}", Kind.CODE, parent=self._last)
        if self._last == self._lead:
            self._lead = None  # it led to the code
        self._last = None

    def _read_text(self, line: str, indent: int) -> None:
        if item := _LIST_MARKER.match(line):
            self._end_block()
            self._open_marker, self._open_indent = item[1], indent
            line = line[item.end() :]
        elif not self._open and not indent:
            self._lead = None  # an indented paragraph may go on in its list
            self._items.clear()
        self._open.append(line)

    def _end_block(self) -> None:
        sentences = split_sentences("\n".join(self._open))
        if sentences and self._open_marker:
            self._add_item(sentences, self._open_marker)
        elif sentences:
            self._add_paragraph(sentences)
        self._open.clear()
        self._open_marker = ""
        self._block += 1

    def _add_paragraph(self, sentences: list[str]) -> None:
        is_alone = len(sentences) == 1
        for text in sentences:
            self._last = self._add(text, is_title=is_alone and _is_title(text))
        if self.sentences[-1].is_lead:
            self._lead = self._last
        if is_alone and _is_heading(sentences[0]):
            self._start_section(LOWEST_LEVEL, sentences[0].strip("*_"))

    def _add_item(self, sentences: list[str], marker: str) -> None:
        while self._items and self._items[-1][0] >= self._open_indent:
            self._items.pop()
        parent = self._items[-1][1] if self._items else self._lead
        first = len(self.sentences)
        for text in sentences:
            self._last = self._add(text, parent=parent, marker=marker)
            marker = ""
        lead = len(self.sentences) - 1 if self.sentences[-1].is_lead else first
        if len(self._items) < DEEPEST_LIST:
            self._items.append((self._open_indent, lead))

    def _skip_to(self, end: str) -> None:
        for line in self._lines:
            if end in line or not line.strip():
                break

    def _start_section(self, level: int, title: str) -> None:
        title = _HEADING_ATTRIBUTES.sub("", title).rstrip(" #")
        self._headings = {above: text for above, text in self._headings.items() if above < level}
        self._headings[level] = title
        self._lead = self._last = None
        self._items.clear()

    def _read_row(self, line: str) -> None:
        if _TABLE_RULE.fullmatch(line):
            if self.sentences and self.sentences[-1].kind is Kind.ROW:
                self._table_header = self.sentences.pop().text
            return
        row = " | ".join(" ".join(cell.split()) for cell in _CELL_END.split(line.strip("|")))
        if _WORD.search(row):
            self._add(row, Kind.ROW, parent=self._lead)
            self._last = None

    def _add(
        self,
        text: str,
        kind: Kind = Kind.PROSE,
        *,
        parent: int | None = None,
        marker: str = "",
        is_title: bool = False,
    ) -> int:
        self.sentences.append(
            Sentence(
                text,
                kind,
                self._block,
                marker,
                headings=tuple(self._headings.values()),
                table_header=self._table_header,
                parent=parent,
                is_title=is_title,
            )
        )
        return len(self.sentences) - 1


def _is_heading(text: str) -> bool:
    """Tell whether what stands alone says what follows it: a question, or bold."""
    if len(text) > LONGEST_HEADING:
        return False
    return bool(_BOLD_TITLE.fullmatch(text)) or text.rstrip("*_").endswith(_QUESTION_MARKS)


def _is_title(text: str) -> bool:
    is_short = len(text) <= LONGEST_TITLE and not _DIGIT.search(text)
    return is_short and not text.rstrip("*_)\"'").endswith(_ENDS)


def _starts_inside_code(lines: list[str]) -> bool:
    """Tell whether a passage was cut out of its document inside a code block."""
    fences = [n for n, line in enumerate(lines) if _FENCE.match(line.strip())]
    if len(fences) % 2 == 0:
        return False
    first = fences[0]  # a closing fence says no language and stands right below the code
    if first == 0 or lines[first].strip().strip("`~") or not lines[first - 1].strip():
        return False
    return not any(_PROSE_LINE.fullmatch(line.strip()) for line in lines[:first])


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
_PROSE_LINE = re.compile(r"[A-Z][\w'-]*(?:\s+\S+){3,}[.:!?]")
_HEADING_ATTRIBUTES = re.compile(r"\s*\{\s*[#.:][^{}]*\}\s*$")
_BOLD_TITLE = re.compile(r"(\*\*|__)(?!\s)(?:(?!\1).)+(?<![.!:\s])\1")
_QUESTION_MARKS = ("?", "\uff1f", "\u061f")
# Lines without a sentence.
_NOISE = re.compile(
    r"[-*_=\s]+"
    r"|(?:<[^<>]*>\s*)+"  # tags alone
    r"|(?::::|///|!!!|===\s).*"  # admonitions and tabs
    r"|\{[*!%{/].*[*!%}/]\}"  # includes and comments of templates
    r"|(?:import|export)\s(?:[^\"']*\sfrom\s)?\s*[\"'][^\"']+[\"'];?"  # MDX
    r"|export\s+(?:const|default|function)\b.*"
    r"|(?:\[?!\[[^\]]*\]\([^)]*\)(?:\]\([^)]*\))?\s*)+"  # images
    r"|\[[^\]]+\]:\s*\S+(?:\s+[\"'(].*)?"  # targets of links
)
# A tag or an import that goes on in the next line.
_UNFINISHED = re.compile(
    r"(?P<tag><(?:!--|/?[A-Za-z][\w.]*(?=\s|$)))[^<>]*|(?:import|export)\s+(?:type\s+)?\{[^}]*"
)
_INLINE_CODE = re.compile(r"`[^`]+`")
_WORD = re.compile(r"\w")
_DIGIT = re.compile(r"\d")
_SENTENCE_END = re.compile(
    r"(?<![.!?\u2026])[.!?\u2026]++[\"'\u2019\u201d\u00bb)\]*_]*+(?:\[[^\[\]\s]{1,20}\])*+(?=\s)"
    # Chinese and Japanese put no space behind a sentence.
    r"|[\u3002\uff01\uff1f\uff61]+[\u300d\u300f\u2019\u201d\uff09\u3011]*"
    # Devanagari, Urdu, Arabic, Ethiopic.
    r"|[\u0964\u0965\u06d4\u061f\u1362]+"
)
_OPENERS = "([{\"'\u2018\u201c\u00ab*_"
_COLONS = (":", "\uff1a")
_ENDS = (*_COLONS, *_QUESTION_MARKS, *".!;\u2026\u3002\uff01\u0964\u06d4\u1362")
