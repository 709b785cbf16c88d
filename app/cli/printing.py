"""What commands print: other people's words on a terminal, and JSON."""

import json
from datetime import datetime

import typer

__all__ = ["print_json", "printable", "printable_lines"]


def printable(text: str) -> str:
    """Return a text without what would move the cursor or end the line."""
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )


def printable_lines(text: str) -> str:
    """The same, but lines and tabs stay."""
    return "".join(character if character in "\n\t" else printable(character) for character in text)


def print_json(value: object) -> None:
    """Print what `--json` promises."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
