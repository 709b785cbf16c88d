"""HTML as Markdown: of a page the main content, of a converted document everything."""

import codecs
import re
from itertools import islice
from typing import Any, Final

import lxml.etree  # type: ignore[import-untyped]  # lxml has no annotations
import lxml.html  # type: ignore[import-untyped]
from lxml.html import HtmlElement
from markdownify import markdownify
from trafilatura import extract

from app.knowledge.exceptions import SourceUnusable
from app.knowledge.parsing.text import UTF16_BOMS

__all__ = ["html_to_markdown", "page_to_markdown"]

_META_CHARSET = re.compile(rb"<meta[^>]{1,500}?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_MEDIA_TYPE_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_HEAD: Final = 4096
# trafilatura's time grows with the square of a page's paragraphs: 1 MB takes 2 s, 10 MB minutes.
# What is so long is a book on one page, of which the menus are a small part.
_MAX_PAGE_CHARACTERS: Final = 2_000_000
# What browsers do with these names; the pages that use them need it.
_WEB_NAMES: Final = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
_NOT_CONTENT: Final = (
    "//title | //script | //style | //noscript | //template | //nav | //button | //svg | //iframe"
    " | //comment()"
)
_LANGUAGE_CLASS = re.compile(r"(?:language|lang|highlight)-([\w+#.-]+)")
# trafilatura escapes what Markdown might misread, and doubles the backslashes that stand before it;
# nobody would find or quote `snake\_case`.
_ESCAPED = re.compile(
    r"""(?P<code> ^```.*?^``` | (?P<ticks>`+) [^`\n]+ (?P=ticks) )
    | (?P<escape> \\+ ) (?P<sign> [*_~<\[\]] )""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
# The signs on which a heading's link to itself stands.
_PERMALINKS: Final = frozenset({"", "#", "¶", "§", "🔗", "\uf0c1"})


def page_to_markdown(data: bytes, media_type: str | None) -> tuple[str, str | None, str | None]:
    """Extract a page's main content.

    Returns its Markdown, the page's title, and a note when its encoding was guessed.
    """
    html, note = _decode(data, media_type)
    tree = _parse(html)
    title = _title(tree)
    _drop_what_is_no_content(tree)
    content = _named_content(tree)
    if content is not None:
        return _to_markdown(content), title, note
    return _found_content(tree) or _to_markdown(tree), title, note


def html_to_markdown(html: str) -> str:
    """Convert a document that is nothing but content."""
    return _to_markdown(_parse(html))


def _named_content(tree: HtmlElement) -> HtmlElement | None:
    """What the page itself calls its main content: nothing of that is lost, unlike by guessing."""
    mains = tree.xpath("//main | //*[@role = 'main']")
    main = mains[0] if len(mains) == 1 and mains[0].text_content().strip() else None
    around = tree if main is None else main
    articles = around.xpath(".//article")
    if len(articles) == 1:
        characters = len(articles[0].text_content())
        if characters > len(around.text_content()) / 2:
            return articles[0]
    return main


def _found_content(tree: HtmlElement) -> str | None:
    """What looks like the main content of a page that doesn't say."""
    html = lxml.html.tostring(tree, encoding="unicode")
    if len(html) > _MAX_PAGE_CHARACTERS:
        return None
    markdown = extract(
        html,
        output_format="markdown",
        include_formatting=True,
        include_links=True,
        include_tables=True,
        include_comments=False,
    )
    return markdown and _ESCAPED.sub(_unescaped, markdown)


def _unescaped(found: re.Match[str]) -> str:
    if found["code"]:
        return found["code"]
    return found["escape"][: len(found["escape"]) // 2] + found["sign"]


def _to_markdown(element: HtmlElement) -> str:
    markdown: str = markdownify(
        lxml.html.tostring(element, encoding="unicode"),
        heading_style="ATX",
        bullets="-",
        strip=["img"],
        escape_asterisks=False,
        escape_underscores=False,
        code_language_callback=_code_language,
        bs4_options="lxml",
    )
    return markdown


def _code_language(pre: Any) -> str:
    for element in (pre.find("code"), pre, *islice(pre.parents, 2)):
        if element is not None:
            for name in element.get("class", []):
                if language := _LANGUAGE_CLASS.fullmatch(name):
                    return language[1]
    return ""


def _parse(html: str) -> HtmlElement:
    # Encoded, since lxml refuses a string that declares an encoding; it may be wrong by now.
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        tree = lxml.html.document_fromstring(html.encode(errors="replace"), parser=parser)
    except lxml.etree.ParserError:
        raise SourceUnusable("is empty") from None
    if any(error.type == lxml.etree.ErrorTypes.ERR_RESOURCE_LIMIT for error in parser.error_log):
        # libxml2 has left out all that follows.
        raise SourceUnusable("is nested too deeply to be read")
    return tree


def _title(tree: HtmlElement) -> str | None:
    for path in ("//head/title", "//h1"):
        for element in tree.xpath(path):
            if title := " ".join(element.text_content().split()):
                return title
    return None


def _drop_what_is_no_content(tree: HtmlElement) -> None:
    for element in tree.xpath(_NOT_CONTENT):
        element.drop_tree()
    # Markdown would show what a browser shows only under the pointer.
    lxml.etree.strip_attributes(tree, "title")
    # Links within the page say nothing elsewhere: their words stay at most.
    for link in tree.xpath("//a[starts-with(@href, '#')]"):
        if link.text_content().strip().strip("\u200b") in _PERMALINKS:
            link.drop_tree()
        else:
            link.drop_tag()


def _decode(data: bytes, media_type: str | None) -> tuple[str, str | None]:
    """Decode as browsers do, but believe UTF-8 first: servers often declare something else."""
    if data.startswith(UTF16_BOMS):
        return data.decode("utf-16", "replace"), None
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode(), None
    except UnicodeDecodeError:
        declared = _declared_charset(data, media_type)
        if declared:
            return data.decode(declared, "replace"), None
        return data.decode("cp1252", "replace"), "not UTF-8; read as Windows-1252"


def _declared_charset(data: bytes, media_type: str | None) -> str | None:
    declared = _MEDIA_TYPE_CHARSET.search(media_type or "")
    names = [declared[1]] if declared else []
    names += [name.decode() for name in _META_CHARSET.findall(data[:_HEAD])]
    for name in names:
        try:
            codec = codecs.lookup(name).name
            codec = _WEB_NAMES.get(codec, codec)
            b" ".decode(codec, "replace")  # refuses the codecs that are not for text
        except LookupError:
            continue
        return codec
    return None
