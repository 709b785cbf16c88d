"""MDX as Markdown: without `import`, `export` and JSX tags, with all of its prose.

Every line keeps its number, and code stays as it is. What only looks like JSX stays too, such as
a `<placeholder>` that is never closed, and so do `{expressions}`, which may hold words.
"""

import re
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from app.knowledge.parsing.jsx import LIMIT, Tag, end_of_statement, read_tag

__all__ = ["mdx_to_markdown"]

_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n.*?^---[ \t]*\r?$", re.MULTILINE | re.DOTALL)
# Where something other than prose may begin, in the order in which to try.
_MARKUP = re.compile(
    r"""(?P<escape> \\. )
    | (?P<fence> ^[ \t>]*+ (?: `{3,}+(?=[^`\n]*$) | ~{3,}+ ) )
    | (?P<code> `++ )
    | (?P<comment> \{\s*+/\* | <!-- )
    | (?P<string> \{\s*+ (?P<mark>["'`]) (?P<words>[^"'`{}\n]*+) (?P=mark) \s*+\} )
    | (?P<statement> ^ (?:
          import \s++ (?: ["'] | [\w${*] [^"'.()]{0,1000}? \bfrom\s*+["'] )
        | export \s++ (?: (?:default|const|let|var|function|async|class)\b | [{*] )
      ) )
    | (?P<tag> < )""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_COMMENT_ENDS: Final = {"<!--": re.compile("-->"), "{/*": re.compile(r"\*/\s*\}")}
_PARAGRAPH_END = re.compile(r"\n[ \t]*\r?\n")
# Elements of HTML that have no end tag.
_VOID: Final = frozenset({"br", "hr", "img", "input", "link", "meta", "source", "wbr"})


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    words: str = ""


@dataclass(slots=True)
class _Block:
    """The lines between a tag that begins a line, and its end tag."""

    tag_line: int
    first_line: int
    end_line: int
    dedent: int | None = None


def mdx_to_markdown(text: str) -> str:
    """Take out what is not for readers, line for line.

    What stands between the tags of a component is moved left to where its tag stood, since
    Markdown takes what is indented by four for code, and MDX doesn't.
    """
    edits: list[_Edit] = []
    tags: list[Tag] = []
    for found in _scan(text):
        if isinstance(found, Tag):
            tags.append(found)
        else:
            edits.append(found)
    pairs = list(_pairs(tags))
    removed = [tag for pair in pairs for tag in pair]
    removed += [tag for tag in tags if (tag.opens and tag.closes) or tag.name in _VOID]
    edits += [_Edit(tag.start, tag.end, _label(tag)) for tag in removed]
    lines = text.split("\n")
    edited = _edited(text, edits).split("\n")
    return "\n".join(_dedented(lines, edited, _blocks(text, pairs)))


def _scan(text: str) -> Iterator[Tag | _Edit]:
    """Find tags, and the edits for everything else that is not for readers."""
    front_matter = _FRONT_MATTER.match(text)
    at = statements_end = front_matter.end() if front_matter else 0
    while found := _MARKUP.search(text, at):
        item = _read(text, found, statements_end)
        if isinstance(item, int):
            at = item
        else:
            at = item.end
            if found.lastgroup == "statement":
                statements_end = at
            yield item


def _read(text: str, found: re.Match[str], statements_end: int) -> Tag | _Edit | int:
    """What there is to take out; where to go on if it is to stay."""
    start, end = found.span()
    match found.lastgroup:
        case "fence" | "code":
            return _end_of_code(text, found)
        case "comment":
            return _comment(text, found)
        case "string":
            return _Edit(start, end, found["words"])
        case "statement" if start <= statements_end + 1 or _is_blank_before(text, start):
            statement_end, is_whole = end_of_statement(text, start)
            return _Edit(start, statement_end) if is_whole else statement_end
        case "tag":
            return read_tag(text, start)
    return end


def _end_of_code(text: str, opening: re.Match[str]) -> int:
    """Where code ends; backticks that nothing closes in their paragraph are no inline code."""
    ticks, start = opening[0].lstrip(" \t>"), opening.end()
    if opening.lastgroup == "fence":
        line = re.compile(rf"^[ \t>]*{ticks}{ticks[0]}*[ \t]*\r?$", re.MULTILINE)
        closing = line.search(text, start)
        return closing.end() if closing else len(text)
    closing = re.compile(rf"(?<!`){ticks}(?!`)").search(text, start, start + LIMIT)
    if closing is None or _PARAGRAPH_END.search(text, start, closing.start()):
        return start
    return closing.end()


def _comment(text: str, opening: re.Match[str]) -> _Edit | int:
    start, limit = opening.start(), min(opening.start() + LIMIT, len(text))
    ending = _COMMENT_ENDS["".join(opening[0].split())]
    closing = ending.search(text, opening.end(), limit)
    return _Edit(start, closing.end()) if closing else limit


def _is_blank_before(text: str, line_start: int) -> bool:
    previous_start = text.rfind("\n", 0, max(line_start - 1, 0)) + 1
    return not text[previous_start:line_start].strip()


def _pairs(tags: Iterable[Tag]) -> Iterator[tuple[Tag, Tag]]:
    """Match start tags with their end tags; what is open when an outer tag ends has none."""
    is_open: Counter[str] = Counter()
    stack: list[Tag] = []
    for tag in tags:
        if tag.opens and not tag.closes and tag.name not in _VOID:
            stack.append(tag)
            is_open[tag.name] += 1
        elif tag.closes and not tag.opens and is_open[tag.name]:
            while True:
                opening = stack.pop()
                is_open[opening.name] -= 1
                if opening.name == tag.name:
                    yield opening, tag
                    break


def _label(tag: Tag) -> str:
    """The words that a tag itself shows: what a card, a tab or a picture is called."""
    if not tag.opens:
        return ""
    is_component = tag.name[:1].isupper()
    label = is_component and (tag.attributes.get("title") or tag.attributes.get("label"))
    return " ".join((label or tag.attributes.get("alt") or "").split())


def _edited(text: str, edits: list[_Edit]) -> str:
    parts = []
    at = 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        parts.append(text[at : edit.start])
        newlines = "\n" * text.count("\n", edit.start, edit.end)
        before, after = text[edit.start - 1 : edit.start], text[edit.end : edit.end + 1]
        apart = " " if before.isalnum() and (edit.words or after).isalnum() else ""
        parts.append(apart + edit.words + newlines)
        at = edit.end
    return "".join([*parts, text[at:]])


def _blocks(text: str, pairs: Iterable[tuple[Tag, Tag]]) -> list[_Block]:
    """The blocks of lines inside pairs of tags, in the order in which they begin."""
    line_starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def line_of(offset: int) -> int:
        return bisect_right(line_starts, offset) - 1

    def begins_line(tag: Tag) -> bool:
        return not text[line_starts[line_of(tag.start)] : tag.start].strip()

    return [
        _Block(
            tag_line=line_of(opening.start),
            first_line=line_of(opening.end - 1) + 1,
            end_line=line_of(closing.start) + (not begins_line(closing)),
        )
        for opening, closing in sorted(pairs, key=lambda pair: pair[0].start)
        if begins_line(opening)
    ]


def _dedented(lines: list[str], edited: list[str], blocks: list[_Block]) -> Iterator[str]:
    """The edited lines, those of a block as far to the left as its tag."""
    shifts: list[int] = []
    open_blocks: list[_Block] = []
    waiting = deque(blocks)
    for number, (line, result) in enumerate(zip(lines, edited, strict=True)):
        while waiting and waiting[0].first_line <= number:
            open_blocks.append(waiting.popleft())
        while open_blocks and open_blocks[-1].end_line <= number:
            open_blocks.pop()
        shift = _shift(open_blocks[-1], line, lines, shifts) if open_blocks else 0
        shifts.append(shift)
        if result != line and not result.strip():
            yield ""
        else:
            yield result[min(shift, _indent(result)) :]


def _shift(block: _Block, line: str, lines: list[str], shifts: list[int]) -> int:
    """How far the lines of a block move: its first one with words comes to stand below its tag."""
    if block.dedent is None:
        if not line.strip():
            return 0
        column = _indent(lines[block.tag_line]) - shifts[block.tag_line]
        block.dedent = max(_indent(line) - column, 0)
    return block.dedent


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))
