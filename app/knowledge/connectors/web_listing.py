"""What a site has: the pages that its sitemap names, or the one page to start from."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final

from app.knowledge.connectors.models import Listing
from app.knowledge.connectors.web_client import Refused, check_status, read_body
from app.knowledge.connectors.web_reader import PAGES, SiteReader, check_type, media_type
from app.knowledge.connectors.web_sitemap import MAX_BYTES, Sitemap, read_sitemap
from app.knowledge.connectors.web_urls import parse_url, printable
from app.knowledge.exceptions import SourceUnusable
from app.knowledge.files import Skipped

__all__ = ["list_site"]

_MAX_SITEMAPS: Final = 500
_SITEMAPS: Final = frozenset(
    {
        "application/xml",
        "text/xml",
        "application/gzip",
        "application/x-gzip",
        "application/octet-stream",
    }
)


def list_site(reader: SiteReader, *, max_pages: int) -> Listing:
    """List a site; whether its address is a sitemap's is seen by what is there.

    Raises:
        SourceUnavailable: the site can't be read now.
        SourceUnusable: it can't be read at all, or has nothing that may be taken in.
    """
    site = reader.site
    try:
        sitemap = _read(reader, site.start_path)
    except Refused as refusal:
        raise SourceUnusable(
            f"{printable(site.start)} {refusal}: give another address of the site."
        ) from refusal
    if sitemap is None:
        return Listing([site.entry(site.start_path)])
    return _SitemapLister(reader, max_pages).collect(sitemap)


class _SitemapLister:
    """Collects the pages of a sitemap and of the sitemaps that it names."""

    def __init__(self, reader: SiteReader, max_pages: int) -> None:
        self._reader = reader
        self._site = reader.site
        self._max_pages = max_pages
        self._paths: dict[str, None] = {}
        self._foreign = 0
        self._closed = 0
        self._skipped: list[Skipped] = []

    def collect(self, first: Sitemap) -> Listing:
        for sitemap in self._sitemaps(first):
            for address in sitemap.pages:
                self._add(address)
            if len(self._paths) > self._max_pages:
                self._skip(f"names more than {self._max_pages:,} pages (max_pages)")
                break
        if self._foreign:
            self._skip(f"names {self._foreign:,} pages of other sites, which are left out")
        if self._closed:
            self._skip(f"names {self._closed:,} pages that robots.txt closes to programs")
        if not self._paths:
            reasons = [skipped.reason for skipped in self._skipped]
            raise SourceUnusable(
                f"The sitemap {printable(self._site.start)} "
                f"{'; '.join(reasons) or 'names no page of this source'}."
            )
        entries = map(self._site.entry, islice(self._paths, self._max_pages))
        return Listing(list(entries), self._skipped)

    def _add(self, address: str) -> None:
        url = parse_url(address, self._site.start)
        if url is None or not self._site.contains(url):
            self._foreign += 1
            return
        path = self._site.path_of(url)
        if not self._site.covers(path):
            return
        if self._reader.allows(url):
            self._paths[path] = None
        else:
            self._closed += 1

    def _sitemaps(self, first: Sitemap) -> Iterator[Sitemap]:
        """Yield a sitemap and those it names.

        One that can't be read is an error, since its pages would be taken for gone; one that is
        no longer there is not.
        """
        read = {self._site.start_path}
        waiting: deque[str] = deque()
        sitemap = first
        while True:
            if sitemap.too_long:
                self._skip("names more addresses than a sitemap may: the rest is left out")
            yield sitemap
            waiting.extend(self._own(sitemap.sitemaps))
            while waiting and waiting[0] in read:
                waiting.popleft()
            if not waiting:
                return
            if len(read) > _MAX_SITEMAPS:
                self._skip(f"names more than {_MAX_SITEMAPS} sitemaps: the others are left out")
                return
            path = waiting.popleft()
            read.add(path)
            sitemap = self._read_part(path)

    def _own(self, addresses: list[str]) -> Iterator[str]:
        for address in addresses[: _MAX_SITEMAPS + 1]:
            url = parse_url(address, self._site.start)
            if url is None or not self._site.contains(url):
                self._skip("names a sitemap of another site, which is left out")
            else:
                yield self._site.path_of(url)

    def _read_part(self, path: str) -> Sitemap:
        try:
            sitemap = _read(self._reader, path)
        except Refused as refusal:
            self._skip(f"names a sitemap, {path}, that {refusal}")
        else:
            if sitemap is not None:
                return sitemap
            self._skip(f"names a sitemap, {path}, that is none")
        return Sitemap()

    def _skip(self, reason: str) -> None:
        self._skipped.append(Skipped(self._site.start_path, reason))


def _read(reader: SiteReader, path: str) -> Sitemap | None:
    """Read a sitemap; None: it is something else, a page."""
    with reader.open(path) as response:
        check_status(response)
        check_type(response, PAGES | _SITEMAPS)
        data = read_body(response, max_bytes=MAX_BYTES)
    sitemap = read_sitemap(data)
    if sitemap is None and media_type(response) in _SITEMAPS:
        raise Refused("is neither a page nor a sitemap")
    return sitemap
