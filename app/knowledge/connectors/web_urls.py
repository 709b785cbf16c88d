"""Which addresses belong to a site, and the one way each of them is written."""

import re
import string
from typing import Final

import httpx2

from app.knowledge.connectors.config import WebConfig
from app.knowledge.connectors.models import Entry
from app.knowledge.exceptions import SourceUnusable

__all__ = ["Site", "parse_url", "printable"]

_MAX_PATH_LENGTH: Final = 500
_MAX_PORT: Final = 65_535
# The name of the page at `/`; a page that is really called so has its first letter escaped.
_INDEX: Final = "index"
_ESCAPED_INDEX: Final = "%69ndex"

_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset(string.ascii_letters + string.digits + "-._~")
# They tell who came from where, and change nothing in the page.
_TRACKING: Final = re.compile(r"utm_|(?:gclid|fbclid|msclkid)(?:=|$)", re.IGNORECASE)


def parse_url(text: str, base: httpx2.URL | None = None) -> httpx2.URL | None:
    """Parse an address as a page or a header gives it; None if it can't be one on the web."""
    try:
        url = httpx2.URL(_without_needless_escapes(text.strip()))
        if base is not None and not url.scheme:
            url = base.join(url)
    except (httpx2.InvalidURL, ValueError):
        return None
    if url.scheme not in ("http", "https") or not url.host:
        return None
    if url.port is not None and not 0 < url.port <= _MAX_PORT:
        return None
    return url.copy_with(fragment=None) if url.fragment else url


def printable(url: httpx2.URL) -> str:
    """Show an address in a message: without its query, which may hold a secret."""
    return str(url.copy_with(query=None, userinfo=b""))


class Site:
    """The pages of one host and port that a source may take in."""

    def __init__(self, config: WebConfig) -> None:
        start = parse_url(config.url)
        if start is None:
            raise SourceUnusable(
                "The source's url isn't an address of the web: it begins with https:// or http://."
            )
        if start.userinfo:
            raise SourceUnusable("The source's url must not hold a user's name or a password.")
        self.start = start
        self.start_path = self.path_of(start)
        self._prefixes = tuple(_prefix(text) for text in config.path_prefixes) or ("/",)

    def contains(self, url: httpx2.URL) -> bool:
        """Whether an address is on this site at all."""
        return (
            url.host.rstrip(".") == self.start.host.rstrip(".")
            and url.port == self.start.port
            and not url.userinfo
        )

    def covers(self, path: str) -> bool:
        """Whether a page is to be taken in: the start page always is."""
        if path == self.start_path:
            return True
        return len(path) <= _MAX_PATH_LENGTH and _target(path).startswith(self._prefixes)

    def path_of(self, url: httpx2.URL) -> str:
        """Return the name of a page: its path and query, without what makes no difference."""
        target = _without_needless_escapes(url.raw_path.decode("ascii"))
        path, _, query = target.partition("?")
        # No path begins with a slash; only a mistake on the page makes two of them.
        path = path.lstrip("/")
        parameters = [part for part in query.split("&") if part and not _TRACKING.match(part)]
        if parameters:
            # Those of one name keep their order, which may matter.
            return f"{path}?{'&'.join(sorted(parameters, key=_parameter_name))}"
        if path == _INDEX:
            return _ESCAPED_INDEX
        return path or _INDEX

    def url_of(self, path: str) -> httpx2.URL:
        """Return the address of a page by its name: the other direction of `path_of`."""
        return self.start.copy_with(raw_path=_target(path).encode("ascii"))

    def entry(self, path: str) -> Entry:
        """Return a page as a source lists it."""
        return Entry(path, url=str(self.url_of(path)))

    def find(self, text: str, base: httpx2.URL) -> str | None:
        """Return the name of the page that a link leads to; None if it is not to be taken in."""
        url = parse_url(text, base)
        if url is None or not self.contains(url):
            return None
        path = self.path_of(url)
        return path if self.covers(path) else None


def _target(path: str) -> str:
    return "/" if path == _INDEX else f"/{_without_needless_escapes(path)}"


def _prefix(text: str) -> str:
    # Written as addresses are, whether the user gave `docs/ä` or `/docs/%c3%a4`.
    url = parse_url("/" + text.lstrip("/"), httpx2.URL("http://site"))
    if url is None:
        raise SourceUnusable(f"{text!r} in path_prefixes can't be the beginning of a path.")
    return url.raw_path.decode("ascii")


def _parameter_name(parameter: str) -> str:
    return parameter.partition("=")[0]


def _without_needless_escapes(text: str) -> str:
    return _ESCAPE.sub(_needed_escape, text)


def _needed_escape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()
