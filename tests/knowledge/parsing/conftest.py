"""One parser for the tests of all formats."""

from collections.abc import Iterator

import pytest

from app.knowledge.parsing.sandbox import Parser


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    """A parser with its usual limits."""
    with Parser() as parser:
        yield parser
