"""Reading one address of a site: guarded, bounded in time and size, redirects by hand."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, Self

import httpx2

from app import __version__
from app.knowledge.connectors.web_guard import Deadline, GuardedTransport, Resolve, resolve
from app.knowledge.connectors.web_urls import parse_url, printable
from app.knowledge.exceptions import SourceUnavailable, SourceUnusable

__all__ = ["Refused", "Validators", "WebClient", "check_status", "read_body"]

_TIMEOUT: Final = httpx2.Timeout(30, connect=10)
_DOCUMENT_SEC: Final = 60
_MAX_REDIRECTS: Final = 5
# One coding at most: several let a few bytes become so many that reading them takes for ever.
_CODINGS: Final = frozenset({"", "identity", "gzip", "deflate"})
_MAX_VALIDATOR_LENGTH: Final = 1_000
_LONGEST_WAIT_SEC: Final = 3_600

_GOOD: Final = frozenset({HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION})
_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_BUSY: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)

_ERRNO: Final = re.compile(r"^\[Errno -?[0-9]+\] ")
_SECONDS: Final = re.compile(r"[0-9]{1,9}")

# Raises Refused for an address that must not be read.
Permit = Callable[[httpx2.URL], None]


class Refused(Exception):
    """A page is not to be taken in; the message continues its name ("is larger than 10 MB")."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What lets a server say that a page is as it was."""

    # After redirects: they mean nothing at another address.
    url: str
    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, response: httpx2.Response) -> Self:
        """Take them from a response."""
        return cls(
            str(response.url),
            _validator(response.headers.get("etag")),
            _validator(response.headers.get("last-modified")),
        )

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Take them from what `state` returned."""
        return cls(state.get("url", ""), state.get("etag"), state.get("last_modified"))

    def state(self) -> dict[str, str | None]:
        """Return them as JSON."""
        return {"url": self.url, "etag": self.etag, "last_modified": self.last_modified}

    def headers(self, url: httpx2.URL) -> dict[str, str]:
        """Return the headers of a conditional request."""
        if str(url) != self.url:
            return {}
        headers = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in headers.items() if value}


class WebClient:
    """A client that reads public pages, and keeps its connections until it is closed."""

    def __init__(self, *, allow_private: bool, resolve: Resolve = resolve) -> None:
        self._deadline = Deadline()
        self._http = httpx2.Client(
            transport=GuardedTransport(
                self._deadline, allow_private=allow_private, resolve=resolve
            ),
            timeout=_TIMEOUT,
            trust_env=False,
            headers={
                "User-Agent": f"bRAG/{__version__}",
                "Accept": "text/html, application/xhtml+xml, text/markdown, text/plain, */*;q=0.5",
                "Accept-Encoding": "gzip, deflate",
            },
            # What a page says must not depend on the pages that were read before.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    @contextmanager
    def open(
        self, url: httpx2.URL, *, permit: Permit, validators: Validators | None = None
    ) -> Iterator[httpx2.Response]:
        """Yield the response at the end of the redirects; its body has not been read.

        All of it, the reading too, must be over after a minute.

        Raises:
            Refused: by `permit`, or it redirects to nowhere.
            SourceUnavailable: the site doesn't answer, or not well.
            SourceUnusable: it redirects without end, or can't be decompressed.
        """
        self._deadline.start(_DOCUMENT_SEC)
        seen: set[str] = set()
        try:
            while True:
                permit(url)
                if str(url) in seen:
                    raise SourceUnusable(f"{printable(url)} redirects in a circle.")
                if len(seen) > _MAX_REDIRECTS:
                    raise SourceUnusable(
                        f"{printable(url)} is reached by more than {_MAX_REDIRECTS} redirects."
                    )
                seen.add(str(url))
                headers = validators.headers(url) if validators else {}
                with self._http.stream("GET", url, headers=headers) as response:
                    if not response.has_redirect_location:
                        _check_coding(response)
                        yield response
                        return
                target = parse_url(response.headers["location"], url)
                if target is None:
                    raise Refused("redirects to something that is not an address of the web")
                url = target
        except httpx2.TimeoutException as error:
            raise SourceUnavailable(
                f"{printable(url)} takes too long to answer: try again later."
            ) from error
        except httpx2.DecodingError as error:
            raise SourceUnusable(f"{printable(url)} sends what can't be decompressed.") from error
        except httpx2.HTTPError as error:
            raise SourceUnavailable(
                f"{printable(url)} can't be read ({_reason(error)}): try again later."
            ) from error


def check_status(response: httpx2.Response) -> None:
    """Let an answer pass that has a page in it.

    Raises:
        Refused: there is no such page.
        SourceUnavailable: there may be one later.
        SourceUnusable: it is not for bRAG.
    """
    status = response.status_code
    if status in _GOOD:
        return
    if status in _GONE:
        raise Refused(f"is not there (the site answers {status})")
    answer = f"{printable(response.url)} answered {status}"
    if status in _BUSY or response.is_server_error:
        retry_after = response.headers.get("retry-after", "")
        wait_sec = float(retry_after) if _SECONDS.fullmatch(retry_after) else None
        raise SourceUnavailable(
            f"{answer}: try again later.",
            retry_after_sec=None if wait_sec is None else min(wait_sec, _LONGEST_WAIT_SEC),
        )
    raise SourceUnusable(f"{answer}: it doesn't let bRAG read it.")


def read_body(response: httpx2.Response, *, max_bytes: int, hint: str = "") -> bytes:
    """Read a body as it is after decompression.

    Raises:
        Refused: it is larger than allowed; how much larger is not looked at.
    """
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > max_bytes:
            limit = f"{max_bytes / 1_000_000:.3g} MB"
            raise Refused(f"is larger than {limit}{hint}")
    return bytes(body)


def _reason(error: httpx2.HTTPError) -> str:
    return _ERRNO.sub("", str(error)).lower() or "the connection was lost"


def _check_coding(response: httpx2.Response) -> None:
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding not in _CODINGS:
        raise SourceUnusable(
            f"{printable(response.url)} is compressed in a way that wasn't asked for."
        )


def _validator(value: str | None) -> str | None:
    if value is None or not value.isascii() or len(value) > _MAX_VALIDATOR_LENGTH:
        return None
    return value
