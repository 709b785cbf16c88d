"""A language model that says what a test puts in."""

import asyncio

import pytest

from tests.upstream import Pieces, Upstream


@pytest.fixture
def pieces(upstream: Upstream) -> Pieces:
    """What the language model says next, as the test puts it in."""
    pieces: Pieces = asyncio.Queue()
    upstream.behave = upstream.types(pieces)
    return pieces
