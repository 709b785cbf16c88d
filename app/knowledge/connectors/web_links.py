"""What an HTML page says to a program that reads it: links, whether to take it in.

The page is never built as a tree: the parser only reports tags, so deep nesting costs nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from lxml import etree  # type: ignore[import-untyped]  # it has no types

__all__ = ["Directives", "Page", "read_directives", "read_page"]

# Far more than a page for people has; each costs some time to resolve.
_MAX_HREFS: Final = 10_000
_MAX_HREF_LENGTH: Final = 2_000
# `bRAG: noindex` speaks to one program; `unavailable_after: …` is a directive with a value.
_ADDRESSED: Final = re.compile(r"\s*([\w-]+)\s*:(.*)", re.DOTALL)
_WITH_VALUE: Final = re.compile(r"unavailable_after|max-.*")


@dataclass(frozen=True, slots=True)
class Directives:
    """Whether a page may be taken in, and its links followed."""

    index: bool = True
    follow: bool = True

    def __and__(self, other: "Directives") -> "Directives":
        return Directives(self.index and other.index, self.follow and other.follow)


@dataclass(slots=True)
class Page:
    """What the tags of a page say; addresses are as they stand there."""

    base: str | None = None
    canonical: str | None = None
    directives: Directives = field(default_factory=Directives)
    # In their order, each once.
    hrefs: dict[str, None] = field(default_factory=dict)


def read_page(body: bytes, *, charset: str | None, agent: str) -> Page:
    """Read the tags of a page, however broken it is.

    `charset` is what the response's header says; `agent` the name that meta tags may address.
    """
    collector = _Collector(agent)
    try:
        parser = etree.HTMLParser(target=collector, encoding=_encoding(body, charset))
    except LookupError:
        # The parser looks for a meta tag itself.
        parser = etree.HTMLParser(target=collector)
    try:
        parser.feed(body)
        parser.close()
    except etree.LxmlError:
        # What was reported before is as good as the page gets; an empty one is an error, too.
        pass
    return collector.page


def read_directives(values: Iterable[str], agent: str) -> Directives:
    """Read the values of `X-Robots-Tag` headers."""
    directives = Directives()
    for value in values:
        addressed = _ADDRESSED.fullmatch(value)
        if addressed is None or _WITH_VALUE.fullmatch(addressed[1].lower()):
            directives &= _directives(value)
        elif addressed[1].lower() == agent:
            directives &= _directives(addressed[2])
    return directives


def _directives(value: str) -> Directives:
    words = {word.strip().lower() for word in value.split(",")}
    return Directives(
        index=words.isdisjoint({"noindex", "none"}), follow=words.isdisjoint({"nofollow", "none"})
    )


def _encoding(body: bytes, charset: str | None) -> str | None:
    try:
        body.decode()
    except UnicodeDecodeError:
        pass
    else:
        # Hardly anything else is UTF-8 by accident, whatever it is declared to be.
        return "utf-8"
    return charset


class _Collector:
    """What the parser reports to; all methods but `start` are there because it calls them."""

    def __init__(self, agent: str) -> None:
        self.page = Page()
        self._agent = agent

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag in ("a", "area"):
            self._link(attributes)
        elif tag == "base":
            if self.page.base is None:
                self.page.base = attributes.get("href")
        elif tag == "link":
            if self.page.canonical is None and "canonical" in _words(attributes.get("rel")):
                self.page.canonical = attributes.get("href")
        elif tag == "meta" and attributes.get("name", "").strip().lower() in (
            "robots",
            self._agent,
        ):
            self.page.directives &= _directives(attributes.get("content", ""))

    def end(self, tag: str) -> None:
        pass

    def data(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass

    def _link(self, attributes: Mapping[str, str]) -> None:
        href = attributes.get("href")
        if href is None or len(href) > _MAX_HREF_LENGTH or len(self.page.hrefs) >= _MAX_HREFS:
            return
        if "nofollow" not in _words(attributes.get("rel")):
            self.page.hrefs[href] = None


def _words(value: str | None) -> Iterator[str]:
    return iter((value or "").lower().split())
