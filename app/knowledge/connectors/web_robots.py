"""What a site asks of programs that read it: robots.txt (RFC 9309)."""

import time
from typing import Final

import httpx2
from protego import Protego

from app.knowledge.connectors.web_client import Refused, WebClient, check_status, read_body
from app.knowledge.connectors.web_urls import Site
from app.knowledge.exceptions import SourceUnusable

__all__ = ["AGENT", "Robots"]

# The name that robots.txt and pages call bRAG by.
AGENT: Final = "brag"

_MAX_BYTES: Final = 1_000_000
_MAX_DELAY_SEC: Final = 5.0
# A worker may keep a connector for days.
_LIFETIME_SEC: Final = 3_600


class Robots:
    """The rules of a site, read before its first page and again every hour."""

    def __init__(self, client: WebClient, site: Site) -> None:
        self._client = client
        self._site = site
        self._rules = Protego.parse("")
        self._read_again_at = float("-inf")
        self._next_request_at = float("-inf")

    def load(self) -> None:
        """Read the rules when that is due.

        Raises:
            SourceUnavailable: they can't be read, so what the site asks for is unknown.
        """
        if time.monotonic() >= self._read_again_at:
            self._rules = Protego.parse(self._read())
            self._read_again_at = time.monotonic() + _LIFETIME_SEC

    def allow(self, url: httpx2.URL) -> bool:
        """Whether a page may be read; `load` comes first."""
        return self._rules.can_fetch(str(url), AGENT)

    def pause(self) -> None:
        """Wait as long as the site asks for between two requests, up to a few seconds."""
        wait_sec = self._next_request_at - time.monotonic()
        if wait_sec > 0:
            time.sleep(wait_sec)
        delay_sec = min(self._rules.crawl_delay(AGENT) or 0.0, _MAX_DELAY_SEC)
        self._next_request_at = time.monotonic() + delay_sec

    def _read(self) -> str:
        try:
            with self._client.open(
                self._site.start.copy_with(raw_path=b"/robots.txt"), permit=self._permit
            ) as response:
                check_status(response)
                body = read_body(response, max_bytes=_MAX_BYTES)
        except (Refused, SourceUnusable):
            # There are no rules, or none that could be read: then everything is allowed.
            return ""
        return body.decode("utf-8-sig", errors="replace")

    def _permit(self, url: httpx2.URL) -> None:
        if not self._site.contains(url):
            raise Refused("redirects to another site")
