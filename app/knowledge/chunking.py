"""Documents into passages: pure functions from text to exact character ranges.

A Markdown document is cut at its headings first, so that every passage knows the headings it stands
under. Sections too short to say much alone are joined with what follows under the same parent;
those too long for the embedding model are cut along their structure: blocks, sentences, words.
A title from outside stands for a heading above all those of the text.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from markdown_it import MarkdownIt

from app.knowledge.cutting import TINY_FRACTION, Cutter, Range, stripped
from app.knowledge.models import embedded_text

if TYPE_CHECKING:
    from app.knowledge.tokens import TokenCounter

__all__ = ["MAX_CHARACTERS", "Passage", "split", "title_of"]

# So much plain prose (4.9 characters a token) all-MiniLM-L6-v2 reads whole, with its heading path,
# in 256 tokens. Recall follows the amount of text returned and little else; at 900 characters five
# passages hold 90% of what answers Chroma's questions, and 5% of their text is that.
MAX_CHARACTERS: Final = 900

# A heading is repeated before every passage of its section, so one of a megabyte must not be.
MAX_HEADING_CHARACTERS: Final = 120

_FOLDER_PAGES: Final = frozenset({"index", "readme"})

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
# Between a page's own title and the site's: `Install | bRAG`.
_TITLE_PARTS = re.compile(r"\s+[-\u2013\u2014|\u00b7\u2022:\u00bb]+\s+")

# Inline markup is parsed for headings alone: it is most of the work.
_BLOCKS = MarkdownIt("commonmark").enable("table").disable("inline")
_KEPT_WHOLE: Final = frozenset({"fence", "table_open"})
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
class _Outline:
    """Where a document begins after its front matter, which may name it, and what it is made of."""

    begin: int
    title: str
    headings: Sequence[_Heading]
    blocks: Sequence[Range]


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
        outline = _outline(text)
        for name in (outline.title, *(heading.text for heading in outline.headings)):
            if name:
                return name
    stem = file.parent.name if file.stem.lower() in _FOLDER_PAGES else ""
    words = re.sub(r"[-_\s]+", " ", stem or file.stem).strip()
    return words[:1].upper() + words[1:] or path


def split(
    text: str,
    *,
    max_characters: int,
    tokens: "TokenCounter | None" = None,
    markdown: bool = True,
    title: str | None = None,
) -> list[Passage]:
    """Cut a document into passages: in order, not overlapping, none of them blank.

    Everything but white space is in exactly one passage, save YAML front matter, which says nothing
    about the subject. The embedded text of a passage is at most `max_characters` long, unless its
    heading path alone takes more than half of them; and at most what the model of `tokens` reads.
    `title` is what the document is called from outside: the first of every heading path, unless
    the heading of this name is there already.
    """
    title = _shortened(title or "")
    if markdown:
        tiny = max_characters // TINY_FRACTION
        outline = _outline(text)
        sections = _joined(
            _filled(text, _sections(text, outline, title), tiny), tiny, max_characters
        )
        cutter = Cutter(text, outline.blocks, markdown=True)
    else:
        sections = [_Section(0, 0, len(text), len(text), (title,) if title else ())]
        cutter = Cutter(text, (), markdown=False)
    passages = [
        Passage(start, end, text[start:end], section.path)
        for section in sections
        for start, end in _ranges(text, section, max_characters, cutter)
    ]
    return passages if tokens is None else list(_readable(text, passages, cutter, tokens))


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


def _outline(text: str) -> _Outline:
    """The headings that stand on their own, not in a fence, list, quotation or HTML block."""
    begin, title = _front_matter(text)
    tokens = _BLOCKS.parse(text[begin:])
    lines = [begin, *(match.end() for match in _LINE_END.finditer(text, begin)), len(text)]
    headings: list[_Heading] = []
    blocks: list[Range] = []
    for opening, inline in pairwise([*tokens, *tokens[-1:]]):
        if opening.map is None:
            continue
        start, end = (lines[line] for line in opening.map)
        if opening.type == "heading_open" and opening.level == 0:
            headings.append(_Heading(start, end, int(opening.tag[1:]), _plain(inline.content)))
        elif opening.type in _KEPT_WHOLE:
            blocks.append(stripped(text, start, end))
    return _Outline(begin, title, headings, blocks)


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


def _sections(text: str, outline: _Outline, title: str) -> Iterator[_Section]:
    """The document cut before every heading; front matter is left out."""
    headings = outline.headings
    ends = [*(heading.start for heading in headings[1:]), len(text)]
    # Sites show the front matter's title as the page's heading, where it has no other.
    named = outline.title and not title
    above = [_Heading(0, 0, 1, outline.title)] if named else []
    first = headings[0].start if headings else len(text)
    begin = outline.begin
    yield _Section(begin, begin, first, first, _titled(title, _path(above)))
    for heading, end in zip(headings, ends, strict=False):
        above = [outer for outer in above if outer.level < heading.level] + [heading]
        yield _Section(heading.start, heading.end, end, end, _titled(title, _path(above)))


def _titled(title: str, path: tuple[str, ...]) -> tuple[str, ...]:
    """A heading path below the document's title, which is often its outermost heading already."""
    names = {name.casefold() for name in (title, *_TITLE_PARTS.split(title))}
    return path if not title or (path and path[0].casefold() in names) else (title, *path)


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


def _ranges(text: str, section: _Section, max_characters: int, cutter: Cutter) -> list[Range]:
    """Cut a section to size."""
    start, end = stripped(text, section.start, section.end)
    room = _room(section.path, max_characters)
    if end - start <= room:
        return [(start, end)] if start < end else []
    # Left to itself, the splitter makes a passage of a heading that precedes a long paragraph.
    body_start, body_end = stripped(text, section.body_start, section.body_end)
    outside_body = end - start - (body_end - body_start)
    if outside_body >= room // 2:
        return cutter.cut(start, end, room)
    ranges = cutter.cut(body_start, body_end, room - outside_body)
    ranges[0] = (start, ranges[0][1])
    ranges[-1] = (ranges[-1][0], end)
    return ranges


def _readable(
    text: str, passages: Sequence[Passage], cutter: Cutter, tokens: "TokenCounter"
) -> Iterator[Passage]:
    """Cut further what the model would not read to its end: code, say, or Chinese."""
    limit = tokens.max_tokens
    half_path = functools.cache(functools.partial(_half_path, tokens=tokens))
    counts = tokens.count([passage.embedded_text for passage in passages])
    for passage, number in zip(passages, counts, strict=True):
        if number <= limit:
            yield passage
            continue
        path = half_path(passage.heading_path)

        def measure(ranges: Sequence[Range], path: tuple[str, ...] = path) -> Sequence[int]:
            return tokens.count([embedded_text(path, text[start:end]) for start, end in ranges])

        for start, end in cutter.cut_to_tokens(passage.start, passage.end, limit, measure):
            yield Passage(start, end, text[start:end], path)


def _half_path(path: tuple[str, ...], *, tokens: "TokenCounter") -> tuple[str, ...]:
    """The innermost headings, in so few tokens that half of what the model reads is left."""
    while path and tokens.count([embedded_text(path, "")])[0] > tokens.max_tokens // 2:
        shorter = path[0][: len(path[0]) // 2 - 1].rstrip()
        path = path[1:] or ((f"{shorter}…",) if shorter else ())
    return path
