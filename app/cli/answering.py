"""An answer on the terminal, as it comes."""

import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from app.cli.connection import Connection
from app.cli.footnotes import print_footnotes
from app.cli.printing import printable_lines

__all__ = ["Answered", "print_answer", "question_body"]


@dataclass(slots=True)
class Answered:
    """What an answer rested on."""

    sources: list[dict[str, Any]] = field(default_factory=list)
    citations: list[dict[str, Any]] = field(default_factory=list)


def question_body(
    message: str, *, mode: str | None, path_prefixes: Sequence[str], model: str | None
) -> dict[str, Any]:
    """Return a request with what was given."""
    body: dict[str, Any] = {"message": message}
    if mode:
        body["mode"] = mode
    if path_prefixes:
        body["filters"] = {"path_prefixes": list(path_prefixes)}
    if model:
        body["model"] = model
    return body


async def print_answer(connection: Connection, path: str, body: dict[str, Any]) -> Answered:
    """Ask, print the answer as it comes, then what it cites.

    Raises:
        RequestFailed: it was refused, or went wrong in the middle.
    """
    answered = Answered()
    is_in_line = False
    try:
        async with aclosing(connection.answer(path, body)) as events:
            async for event in events:
                match event.name:
                    case "sources":
                        answered.sources = event.data
                    case "citations":
                        answered.citations = event.data
                    case "message":
                        text = printable_lines(event.data["content"])
                        sys.stdout.write(text)
                        sys.stdout.flush()
                        is_in_line = not text.endswith("\n") if text else is_in_line
    finally:
        if is_in_line:
            sys.stdout.write("\n")
            sys.stdout.flush()
    if answered.citations:
        console = Console(highlight=False)
        console.print()
        print_footnotes(console, answered.sources, answered.citations, connection.page_url)
    return answered
