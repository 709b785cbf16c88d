"""The statements that servers in this process send to PostgreSQL."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

__all__ = ["statements"]


@contextmanager
def statements(*, touching: str) -> Iterator[list[str]]:
    """Collect those that match an expression, in their order, while the block lasts."""
    found: list[str] = []

    def collect(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if re.search(touching, statement):
            found.append(statement)

    event.listen(Engine, "before_cursor_execute", collect)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", collect)
