"""Documents into passages: pure functions from text to exact character ranges.

A Markdown document is cut at its headings first, so that every passage knows the headings it stands
under. Sections too short to say much alone are joined with what follows under the same parent;
those too long for the embedding model are cut along their structure: blocks, sentences, words.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from pathlib import PurePosixPath
from typing import Final

from markdown_it import MarkdownIt
from semantic_text_splitter import MarkdownSplitter, TextSplitter

from app.knowledge.models import embedded_text

__all__ = ["MAX_CHARACTERS", "Passage", "split", "title_of"]

# all-MiniLM-L6-v2 reads 256 tokens and drops the rest without a word. Heading path included, 900
# characters hold 91% of the passages of code-heavy documentation (3.4 characters a token) and all
# of plain prose (4.9) whole, and lose 0 to 3% of the tokens; 1,200 would lose up to 10%. Retrieval
# (SQuAD articles, Chroma's chunking evaluation, two products' documentation) is flat from 700 to
# 1,000: shorter passages find no more, longer ones only return more text.
MAX_CHARACTERS: Final = 900

# A heading is repeated before every passage of its section, so one of a megabyte must not be.
MAX_HEADING_CHARACTERS: Final = 120

# A twelfth of a passage is half a sentence and says too little alone: `<Steps>`, a fence's opening.
_TINY_FRACTION: Final = 12
# Passages cut at once, because the splitter's time grows with the square of a long line's length.
_WINDOW: Final = 10

_FOLDER_PAGES: Final = frozenset({"index", "readme"})

_Splitter = MarkdownSplitter | TextSplitter
_Range = tuple[int, int]  # start and end in the document

_LINE_END = re.compile(r"\r\n?|\n")
# Only what looks like YAML throughout: a document may also begin with a thematic break.
_FRONT_MATTER = re.compile(
    r"""---[ \t]*\r?\n
    (?P<yaml>
        (?> (?: \#[^\n]* | [ \t\r]* ) \n )*
        [\w"'][^:\n]* : [^\n]* \n
        (?> (?: [ \t\r\#\-\]}][^\n]* | [\w"'][^:\n]* : [^\n]* )? \n )*?
    )
    (?: --- | \.\.\. )[ \t]*\r?(?: \n | \Z )""",
    re.VERBOSE,
)
_FRONT_MATTER_TITLE = re.compile(r"^title[ \t]*:(.*)$", re.MULTILINE)
_HEADING_ATTRIBUTES = re.compile(r"\{\s*[#.:][^{}]*\}\s*$")

# Inline markup is parsed for headings alone: it is most of the work.
_BLOCKS = MarkdownIt("commonmark").disable("inline")
_INLINE = MarkdownIt("commonmark")


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk of a document before it has an id: `document[start:end] == text`, in characters."""

    start: int
    end: int
    text: str
    heading_path: tuple[str, ...]

    @property
    def embedded_text(self) -> str:
        """What both vectors are made of: the heading path, a blank line, the text."""
        return embedded_text(self.heading_path, self.text)


@dataclass(frozen=True, slots=True)
class _Heading:
    start: int
    end: int
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class _Section:
    """A range of the document under one heading path; before and after its body stand headings."""

    start: int
    body_start: int
    body_end: int
    end: int
    path: tuple[str, ...]


def title_of(text: str, path: str, *, markdown: bool = True) -> str:
    """Name a document: its front matter's title, else its first heading, else its file name."""
    file = PurePosixPath(path)
    if markdown:
        begin, title = _front_matter(text)
        if title:
            return title
        for heading in _headings(text, begin):
            if heading.text:
                return heading.text
    stem = file.parent.name if file.stem.lower() in _FOLDER_PAGES else ""
    words = re.sub(r"[-_\s]+", " ", stem or file.stem).strip()
    return words[:1].upper() + words[1:] or path


def split(text: str, *, max_characters: int, markdown: bool = True) -> list[Passage]:
    """Cut a document into passages: in order, not overlapping, none of them blank.

    Everything but white space is in exactly one passage, save YAML front matter, which says nothing
    about the subject. The embedded text of a passage is at most `max_characters`
    long, unless its heading path alone takes more than half of them.
    """
    if markdown:
        tiny = max_characters // _TINY_FRACTION
        sections = _joined(_filled(text, _sections(text), tiny), tiny, max_characters)
        splitter: type[_Splitter] = MarkdownSplitter
    else:
        sections = [_Section(0, 0, len(text), len(text), ())]
        splitter = TextSplitter
    return [
        Passage(start, end, text[start:end], section.path)
        for section in sections
        for start, end in _ranges(text, section, max_characters, splitter)
    ]


def _front_matter(text: str) -> tuple[int, str]:
    """Where the document begins after YAML front matter, and the title that this gives it."""
    found = _FRONT_MATTER.match(text)
    if found is None:
        return 0, ""
    title = _FRONT_MATTER_TITLE.search(found["yaml"])
    return found.end(), _scalar(title[1]) if title else ""


def _scalar(value: str) -> str:
    """A one-line YAML value as plain text; empty for what only a YAML parser could read."""
    value = value.strip()
    if value[:1] in {'"', "'"}:
        quote = value[0]
        value = value[1:].rpartition(quote)[0].replace(f"\\{quote}", quote)
    else:
        value = "" if value[:1] in set("|>[{&*!#") else value.partition(" #")[0]
    return _shortened(value)


def _headings(text: str, begin: int) -> Iterator[_Heading]:
    """The headings that stand on their own, not in a fence, list, quotation or HTML block."""
    tokens = _BLOCKS.parse(text[begin:])
    lines = [begin, *(match.end() for match in _LINE_END.finditer(text, begin)), len(text)]
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open" and opening.level == 0 and opening.map:
            start, end = (lines[line] for line in opening.map)
            yield _Heading(start, end, int(opening.tag[1:]), _plain(inline.content))


def _plain(markup: str) -> str:
    """A heading's words without their markup."""
    [inline] = _INLINE.parseInline(markup[: 4 * MAX_HEADING_CHARACTERS])
    words = "".join(
        " " if token.type == "softbreak" else token.content
        for token in inline.children or []
        if token.type != "html_inline"
    )
    return _shortened(_HEADING_ATTRIBUTES.sub("", words))


def _shortened(heading: str) -> str:
    heading = " ".join(heading.split())
    if len(heading) <= MAX_HEADING_CHARACTERS:
        return heading
    return heading[: MAX_HEADING_CHARACTERS - 1].rstrip() + "…"


def _sections(text: str) -> Iterator[_Section]:
    """The document cut before every heading; front matter is left out."""
    begin, title = _front_matter(text)
    headings = list(_headings(text, begin))
    ends = [*(heading.start for heading in headings[1:]), len(text)]
    # Sites show the front matter's title as the page's heading, where it has no other.
    above = [_Heading(0, 0, 1, title)] if title else []
    first = headings[0].start if headings else len(text)
    yield _Section(begin, begin, first, first, _path(above))
    for heading, end in zip(headings, ends, strict=False):
        above = [outer for outer in above if outer.level < heading.level] + [heading]
        yield _Section(heading.start, heading.end, end, end, _path(above))


def _path(headings: Iterable[_Heading]) -> tuple[str, ...]:
    return tuple(heading.text for heading in headings if heading.text)


def _filled(text: str, sections: Iterable[_Section], tiny: int) -> list[_Section]:
    """What has no text of its own goes with what follows it, or else with what precedes.

    That is headings above other headings, and a rule or a logo above the first heading.
    """
    filled: list[_Section] = []
    waiting: _Section | None = None
    for section in sections:
        body = text[section.body_start : section.body_end].strip()
        headed = section.body_start > section.start
        if not body:
            if headed:
                waiting = waiting or section
        elif not headed and len(body) < tiny:
            waiting = section
        else:
            filled.append(replace(section, start=(waiting or section).start))
            waiting = None
    if waiting and filled:
        filled[-1] = replace(filled[-1], end=len(text))
    elif waiting:
        filled.append(replace(waiting, body_end=len(text), end=len(text)))
    return filled


def _joined(sections: Iterable[_Section], tiny: int, max_characters: int) -> list[_Section]:
    """Sections too short to say much alone, joined with their next under the same parent."""
    joined: list[_Section] = []
    parent: tuple[str, ...] = ()
    for section in sections:
        if joined and section.path[: len(parent)] == parent:
            last = joined[-1]
            both = replace(
                last,
                body_end=section.body_end,
                end=section.end,
                path=_common(last.path, section.path),
            )
            room = _room(both.path, max_characters)
            if last.end - last.start < tiny and both.end - both.start <= room:
                joined[-1] = both
                parent = both.path
                continue
        joined.append(section)
        parent = section.path[:-1]
    return joined


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return tuple(heading for heading, _ in pairs)


def _room(path: tuple[str, ...], max_characters: int) -> int:
    """Characters left for a passage's own text; the longest heading path leaves half."""
    return max(max_characters - len(embedded_text(path, "")), max_characters // 2, 1)


def _ranges(
    text: str, section: _Section, max_characters: int, splitter: type[_Splitter]
) -> list[_Range]:
    """Cut a section to size."""
    start, end = _stripped(text, section.start, section.end)
    room = _room(section.path, max_characters)
    if end - start <= room:
        return [(start, end)] if start < end else []
    # Left to itself, the splitter makes a passage of a heading that precedes a long paragraph.
    body_start, body_end = _stripped(text, section.body_start, section.body_end)
    outside_body = end - start - (body_end - body_start)
    if outside_body >= room // 2:
        return _cut(text, start, end, room, splitter)
    ranges = _cut(text, body_start, body_end, room - outside_body, splitter)
    ranges[0] = (start, ranges[0][1])
    ranges[-1] = (ranges[-1][0], end)
    return ranges


def _cut(text: str, start: int, end: int, room: int, splitter: type[_Splitter]) -> list[_Range]:
    """Split at the best boundaries into ranges of at most `room` characters."""
    # The splitter cuts a fence's first line from the long code below it: keep room to join them.
    tiny = room // _TINY_FRACTION
    ranges: list[_Range] = []
    for piece in _windowed(text, start, end, room - tiny, splitter):
        if ranges and _length(ranges[-1]) < tiny and piece[1] - ranges[-1][0] <= room:
            ranges[-1] = (ranges[-1][0], piece[1])
        else:
            ranges.append(piece)
    if len(ranges) > 1 and _length(ranges[-1]) < tiny and ranges[-1][1] - ranges[-2][0] <= room:
        _, last_end = ranges.pop()
        ranges[-1] = (ranges[-1][0], last_end)
    return ranges


def _windowed(
    text: str, start: int, end: int, capacity: int, splitter: type[_Splitter]
) -> Iterator[_Range]:
    chunk_indices = splitter(capacity).chunk_indices
    while start < end:
        stop = min(start + _WINDOW * capacity, end)
        found = [
            (start + offset, start + offset + len(piece))
            for offset, piece in chunk_indices(text[start:stop])
            if piece and not piece.isspace()
        ]
        if stop < end and len(found) > 1:
            # The window's end may have cut the last piece short: it begins the next window.
            stop, _ = found.pop()
        yield from found
        start = stop


def _length(piece: _Range) -> int:
    return piece[1] - piece[0]


def _stripped(text: str, start: int, end: int) -> _Range:
    piece = text[start:end]
    return end - len(piece.lstrip()), start + len(piece.rstrip())
