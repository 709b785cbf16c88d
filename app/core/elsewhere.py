"""A bRAG server elsewhere: whether a URL and a token can be used, and how a client reaches it."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from app import __version__

__all__ = ["UnusableServer", "client_options"]


class UnusableServer(ValueError):
    """That is no URL of a server, or no token; the text is a sentence that says what to do."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def client_options(url: str, token: str | None) -> dict[str, Any]:
    """Return the options of an HTTP client that sends a token to a server, and to nobody else.

    Raises:
        UnusableServer: that is no URL of a server, or no token.
    """
    host = _host(url)
    headers = {"User-Agent": f"brag/{__version__}"}
    if token:
        if not (token.isascii() and token.isprintable()):
            raise UnusableServer("bad_token", "The token holds characters that no token has.")
        headers["Authorization"] = f"Bearer {token}"
    return {
        "headers": headers,
        "trust_env": not _is_loopback(host),
        # They would take the token, or the question, somewhere else.
        "follow_redirects": False,
    }


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https") or parts.username or parts.query:
        raise UnusableServer(
            "unusable_url", "--url (BRAG_URL) must look like https://brag.example.org."
        )
    return host


def _is_loopback(host: str) -> bool:
    """Whether it is this machine, to which no proxy leads."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
