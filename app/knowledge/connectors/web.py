"""A site's pages: those that its sitemap names, or those that links from a start page lead to."""

import hashlib
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from itertools import islice
from typing import Any, Final, Self

import httpx2

from app.knowledge.connectors.config import WebConfig
from app.knowledge.connectors.models import Content, Entry, Fetched, Gone, Listing, NotModified
from app.knowledge.connectors.web_client import Refused, Validators, check_status, read_body
from app.knowledge.connectors.web_guard import Resolve, resolve
from app.knowledge.connectors.web_links import Page, read_directives, read_page
from app.knowledge.connectors.web_listing import list_site
from app.knowledge.connectors.web_reader import (
    HTML,
    PAGES,
    SiteReader,
    charset,
    check_type,
    media_type,
)
from app.knowledge.connectors.web_robots import AGENT
from app.knowledge.connectors.web_urls import parse_url

__all__ = ["WebConnector"]

_MAX_LINKS: Final = 1_000
_LIMIT_HINT: Final = " (the setting MAX_DOCUMENT_BYTES)"


class WebConnector:
    """Lists a site's pages, and fetches each of them.

    Args:
        config: where to start, and how far to go.
        allow_private: whether private networks may be read, the server's own among them.
        max_bytes: larger pages are left out.
        resolve: how the addresses of a host are found.

    Raises:
        SourceUnusable: what was configured can't be a site.
    """

    def __init__(
        self,
        config: WebConfig,
        *,
        allow_private: bool = False,
        max_bytes: int,
        resolve: Resolve = resolve,
    ) -> None:
        self._config = config
        self._max_bytes = max_bytes
        self._reader = SiteReader(config, allow_private=allow_private, resolve=resolve)
        self._site = self._reader.site

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def start(
        self,
        state: Mapping[str, Any],  # noqa: ARG002 - as every connector takes it
    ) -> Listing:
        """List the pages that the sitemap names, or the one page to start from.

        Raises:
            SourceUnavailable: the site can't be read now.
            SourceUnusable: it can't be read at all, or has nothing that may be taken in.
        """
        return list_site(self._reader, max_pages=self._config.max_pages)

    def fetch(
        self, entry: Entry, state: Mapping[str, Any], *, depth: int
    ) -> Fetched | NotModified | Gone:
        """Fetch a page and find its links; `state` is what its last fetch left.

        `depth` is how many links led to it.

        Raises:
            SourceUnavailable: the site can't be read now.
            SourceUnusable: the page may not be read.
        """
        # A sitemap's pages have the start page's depth, and all that is wanted is in the sitemap.
        follow = depth < self._config.max_depth and (
            depth > 0 or entry.path == self._site.start_path
        )
        try:
            return self._fetch(entry.path, state, follow=follow)
        except Refused as refusal:
            return Gone(str(refusal))

    def _fetch(
        self, path: str, state: Mapping[str, Any], *, follow: bool
    ) -> Fetched | NotModified | Gone:
        # Links that were found for another scope would not do.
        knows_links = state.get("scope") == self._config.path_prefixes
        validators = Validators.from_state(state) if knows_links or not follow else None
        with self._reader.open(path, validators) as response:
            if validators and response.status_code == HTTPStatus.NOT_MODIFIED:
                return NotModified(self._entries(state["links"] if follow else []))
            check_status(response)
            check_type(response, PAGES)
            body = read_body(response, max_bytes=self._max_bytes, hint=_LIMIT_HINT)
        page = _read_page(response, body)
        links = self._links(page, response.url, path) if follow and page.directives.follow else []
        if not page.directives.index:
            return Gone("asks not to be taken in (noindex)", links=self._entries(links))
        final = self._site.path_of(response.url)
        original = self._original(page, response.url)
        if original is not None and original not in (path, final):
            moved_to = self._site.entry(original)
            return Gone(f"is a copy of {original}", moved_to, self._entries(links))
        # The start page is known by its name wherever it leads, and so is a page that says that
        # this is its name.
        if path not in (final, original, self._site.start_path) and self._site.covers(final):
            return Gone(f"leads to {final}", self._site.entry(final))
        new_state: dict[str, Any] = {**Validators.of(response).state()}
        if follow:
            new_state |= {"scope": self._config.path_prefixes, "links": links}
        return Fetched(
            Content(body, _content_type(response)),
            hashlib.sha256(body).hexdigest(),
            str(response.url),
            new_state,
            self._entries(links),
        )

    def _links(self, page: Page, url: httpx2.URL, path: str) -> list[str]:
        """Return the names of the pages of this source that a page links to, but not itself."""
        base = _base(page, url)
        found = (self._site.find(href, base) for href in page.hrefs)
        names = dict.fromkeys(name for name in found if name is not None and name != path)
        return list(islice(names, _MAX_LINKS))

    def _original(self, page: Page, url: httpx2.URL) -> str | None:
        """Return the name of the page of this source that a page says it is, or is a copy of."""
        if page.canonical is None:
            return None
        return self._site.find(page.canonical, _base(page, url))

    def _entries(self, paths: Iterable[str]) -> list[Entry]:
        return [self._site.entry(path) for path in paths]


def _read_page(response: httpx2.Response, body: bytes) -> Page:
    page = Page()
    if media_type(response) in HTML or not media_type(response):
        page = read_page(body, charset=charset(response), agent=AGENT)
    page.directives &= read_directives(response.headers.get_list("x-robots-tag"), AGENT)
    return page


def _base(page: Page, url: httpx2.URL) -> httpx2.URL:
    return (page.base is not None and parse_url(page.base, url)) or url


def _content_type(response: httpx2.Response) -> str | None:
    if name := charset(response):
        return f"{media_type(response)}; charset={name}"
    return media_type(response) or None
