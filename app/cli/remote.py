"""A bRAG server that runs elsewhere."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from app.cli.errors import RequestFailed
from app.core.elsewhere import UnusableServer, client_options

__all__ = ["open_remote"]


@asynccontextmanager
async def open_remote(url: str, token: str | None) -> AsyncIterator[httpx2.AsyncClient]:
    """Open a client that sends a token to a server, and to nobody else.

    Raises:
        RequestFailed: that is no URL of a server, or no token.
    """
    try:
        options = client_options(url, token)
    except UnusableServer as error:
        raise RequestFailed(error.code, str(error)) from None
    async with httpx2.AsyncClient(base_url=url, **options) as client:
        yield client
