"""Markdown into HTML that is safe to put into a page, whoever has written it.

An answer quotes documents, and a document may be hostile. HTML in the Markdown is text, and what
comes out is cleaned once more by an allow-list: nothing in it runs, and nothing loads from
elsewhere. Images become links. A marker `[n]` becomes `<cite data-marker="n">[n]</cite>`.
"""

import html
import re
from collections.abc import Iterator, Sequence
from typing import Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

__all__ = ["MAX_CHARACTERS", "to_blocks"]

# Longer texts are shown as they are: some of them would take seconds.
MAX_CHARACTERS: Final = 30_000
# Of lists and quotes inside each other.
MAX_NESTING: Final = 20
TOP_HEADING: Final = 3  # the page has its own above

TAGS: Final = {
    *("p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong"),
    *("s", "hr", "br", "a", "cite", "table", "thead", "tbody", "tr", "th", "td"),
}
_SPECIAL: Final = re.compile(r"\[(?P<marker>\d{1,4})\]|https?://[^\s<>\"'`\[\]]+")
# What ends a sentence and not an address.
_AFTER_URL: Final = ".,;:!?*_"
_cleaner: Final = nh3.Cleaner(
    tags=TAGS,
    attributes={"a": {"href", "title"}, "ol": {"start"}, "cite": {"data-marker"}},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
)


def to_blocks(text: str) -> list[str]:
    """Return a text's HTML, a string for each paragraph, list, table...

    It is CPU work: not for the event loop.
    """
    if len(text) > MAX_CHARACTERS:
        return [f"<p>{html.escape(part)}</p>" for part in text.split("\n\n") if part.strip()]
    env: dict[str, object] = {}
    renderer = _markdown.renderer
    return [
        _cleaner.clean(renderer.render(block, _markdown.options, env))
        for block in _top_level(_markdown.parse(text, env))
    ]


def _top_level(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    block: list[Token] = []
    depth = 0
    for token in tokens:
        block.append(token)
        depth += token.nesting
        if depth == 0:
            yield block
            block = []


def _find_special(state: StateCore) -> None:
    """Make links of plain addresses, and citations of markers; code is left alone."""
    for token in state.tokens:
        if token.type == "inline" and token.children:
            token.children = list(_with_special(token.children))


def _with_special(tokens: Sequence[Token]) -> Iterator[Token]:
    in_link = 0
    for token in tokens:
        if token.type in ("link_open", "link_close"):
            in_link += token.nesting
        if token.type == "text" and not in_link:
            yield from _split(token.content)
        else:
            yield token


def _split(content: str) -> Iterator[Token]:
    position = 0
    for found in _SPECIAL.finditer(content):
        yield _text(content[position : found.start()])
        if marker := found["marker"]:
            yield Token("cite", "", 0, content=marker)
            position = found.end()
            continue
        url = found[0].rstrip(_AFTER_URL)
        if url.endswith(")") and url.count("(") < url.count(")"):
            url = url[:-1].rstrip(_AFTER_URL)
        yield Token("link_open", "a", 1, attrs={"href": url})
        yield _text(url)
        yield Token("link_close", "a", -1)
        position = found.start() + len(url)
    yield _text(content[position:])


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _render_cite(
    _: RendererHTML, tokens: Sequence[Token], index: int, _o: OptionsDict, _e: dict[str, object]
) -> str:
    number = tokens[index].content
    return f'<cite data-marker="{number}">[{number}]</cite>'


def _render_image(
    _: RendererHTML, tokens: Sequence[Token], index: int, _o: OptionsDict, _e: dict[str, object]
) -> str:
    url = str(tokens[index].attrGet("src") or "")
    words = tokens[index].content or url
    return f'<a href="{html.escape(url)}">{html.escape(words)}</a>'


def _render_heading(
    _: RendererHTML, tokens: Sequence[Token], index: int, _o: OptionsDict, _e: dict[str, object]
) -> str:
    level = min(int(tokens[index].tag[1]) + TOP_HEADING - 1, 6)
    return f"<{'/' if tokens[index].nesting < 0 else ''}h{level}>"


def _build() -> MarkdownIt:
    # Without references: `[1]: https://...` would make links of all markers [1].
    markdown = (
        MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_NESTING})
        .enable(["table", "strikethrough"])
        .disable("reference")
    )
    markdown.core.ruler.push("special", _find_special)
    markdown.add_render_rule("cite", _render_cite)
    markdown.add_render_rule("image", _render_image)
    markdown.add_render_rule("heading_open", _render_heading)
    markdown.add_render_rule("heading_close", _render_heading)
    return markdown


_markdown: Final = _build()
