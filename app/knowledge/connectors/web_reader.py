"""Reading a site as its owner and the source's user let it be read."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

import httpx2

from app.knowledge.connectors.config import WebConfig
from app.knowledge.connectors.web_client import Refused, Validators, WebClient
from app.knowledge.connectors.web_guard import Resolve
from app.knowledge.connectors.web_robots import Robots
from app.knowledge.connectors.web_urls import Site

__all__ = ["HTML", "PAGES", "SiteReader", "charset", "check_type", "media_type"]

HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
PAGES: Final = HTML | {"text/plain", "text/markdown", "text/x-markdown", "application/pdf"}

_CHARSET: Final = re.compile(r"[\w.:-]{1,40}", re.ASCII)


class SiteReader:
    """A client for the pages of one site, which asks its robots.txt first."""

    def __init__(self, config: WebConfig, *, allow_private: bool, resolve: Resolve) -> None:
        self.site = Site(config)
        self._client = WebClient(allow_private=allow_private, resolve=resolve)
        self._robots = Robots(self._client, self.site)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def allows(self, url: httpx2.URL) -> bool:
        """Whether the site lets programs read an address; something was opened before."""
        return self._robots.allow(url)

    @contextmanager
    def open(self, path: str, validators: Validators | None = None) -> Iterator[httpx2.Response]:
        """Yield the response for a page of this name; its body has not been read.

        Raises:
            Refused: it, or where it redirects to, is closed to programs or not of this source.
            SourceUnavailable: it can't be read now.
            SourceUnusable: it can't be read.
        """

        def permit(url: httpx2.URL) -> None:
            if not self.site.contains(url):
                raise Refused(f"redirects to another site, {url.host}")
            # Wherever the start page redirects to is where to start.
            if path != self.site.start_path and not self.site.covers(self.site.path_of(url)):
                raise Refused("is not below any of the source's path_prefixes")
            if not self._robots.allow(url):
                raise Refused("is closed to programs by the site's robots.txt")

        self._robots.load()
        self._robots.pause()
        with self._client.open(
            self.site.url_of(path), permit=permit, validators=validators
        ) as response:
            yield response


def media_type(response: httpx2.Response) -> str:
    """Return what a body is said to be, without parameters; empty: nothing is said."""
    value: str = response.headers.get("content-type", "")
    return value.partition(";")[0].strip().lower()


def charset(response: httpx2.Response) -> str | None:
    """Return the charset that a header declares, if it could be one."""
    value = response.charset_encoding
    return value if value and _CHARSET.fullmatch(value) else None


def check_type(response: httpx2.Response, allowed: Collection[str]) -> None:
    """Let a body of these media types pass, or of none.

    Raises:
        Refused: it is something else.
    """
    kind = media_type(response)
    if kind and kind not in allowed:
        raise Refused(f"is not a text or a PDF, but {kind[:100]}")
