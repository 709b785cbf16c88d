"""A language model that says what a test puts in, and another process on the same database."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from app.knowledge.embedding import Embedder
from settings import Settings
from tests.support import open_client
from tests.upstream import Pieces, Upstream


@pytest.fixture
def pieces(upstream: Upstream) -> Pieces:
    """What the language model says next, as the test puts it in."""
    pieces: Pieces = asyncio.Queue()
    upstream.behave = upstream.types(pieces)
    return pieces


@pytest.fixture
async def other_api(
    upstream_settings: Settings, embedder: Embedder
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of another process on the same database."""
    async with open_client(upstream_settings) as client:
        yield client
