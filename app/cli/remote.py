"""A bRAG server that runs elsewhere."""

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx2

from app import __version__
from app.cli.errors import RequestFailed

__all__ = ["open_remote"]


@asynccontextmanager
async def open_remote(url: str, token: str | None) -> AsyncIterator[httpx2.AsyncClient]:
    """Open a client that sends a token to a server, and to nobody else.

    Raises:
        RequestFailed: that is no URL of a server, or no token.
    """
    host = _host(url)
    headers = {"User-Agent": f"brag/{__version__}"}
    if token:
        if not (token.isascii() and token.isprintable()):
            raise RequestFailed("bad_token", "The token holds characters that no token has.")
        headers["Authorization"] = f"Bearer {token}"
    # No redirects: they would take the token, or the question, somewhere else.
    async with httpx2.AsyncClient(
        base_url=url, headers=headers, trust_env=not _is_loopback(host), follow_redirects=False
    ) as client:
        yield client


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https") or parts.username or parts.query:
        raise RequestFailed(
            "unusable_url", "--url (BRAG_URL) must look like https://brag.example.org."
        )
    return host


def _is_loopback(host: str) -> bool:
    """Whether it is this machine, to which no proxy leads."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
