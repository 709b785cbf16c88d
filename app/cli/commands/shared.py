"""What the commands share: options, groups in the help, and how they fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer

from app.cli.errors import RequestFailed, described
from app.cli.printing import print_json
from app.core.exceptions import AppError, StartupError

__all__ = [
    "ASKING",
    "DOCUMENTS",
    "OPERATING",
    "AsJson",
    "Token",
    "Url",
    "examples",
    "failures",
    "group",
]

# Headings of the help.
ASKING: Final = "Ask"
DOCUMENTS: Final = "Documents"
OPERATING: Final = "Operate"

INTERRUPTED: Final = 130

Url = Annotated[
    str | None,
    typer.Option(
        envvar="BRAG_URL",
        metavar="URL",
        help="Of a bRAG server; by default, this folder's own knowledge base is asked.",
        rich_help_panel="Server",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="BRAG_TOKEN",
        metavar="TOKEN",
        help="For that server. Others may see it on a command line: better set BRAG_TOKEN.",
        show_envvar=True,
        rich_help_panel="Server",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]


def group(**options: Any) -> typer.Typer:
    """Return an empty group of commands."""
    return typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, **options)


def examples(*lines: str) -> str:
    """Return examples for the end of a command's help."""
    return "\n".join(("Examples:", *(f"  {line}" for line in lines)))


@contextmanager
def failures(
    *, as_json: bool = False, code: int = 1, interrupted: str = "Interrupted."
) -> Iterator[None]:
    """Make of what went wrong one plain sentence, with `as_json` an object too, and an exit code.

    Raises:
        Exit: something went wrong.
    """
    try:
        yield
    except (AppError, StartupError, RequestFailed) as error:
        if as_json:
            print_json({"error": described(error)})
        typer.echo(error, err=True)
        raise typer.Exit(code) from None
    except KeyboardInterrupt:
        typer.echo(interrupted, err=True)
        raise typer.Exit(INTERRUPTED) from None
