"""What the commands share: options, groups in the help, and how they fail."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.cli.errors import RequestFailed
from app.core.exceptions import AppError, StartupError

if TYPE_CHECKING:
    from settings import Settings

__all__ = [
    "ASKING",
    "DOCUMENTS",
    "OPERATING",
    "AsJson",
    "Token",
    "Url",
    "command_settings",
    "examples",
    "failures",
    "group",
    "print_json",
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


def command_settings() -> "Settings":
    """Load the settings; of logs, only what is wrong goes to standard error."""
    from app.core.logs import configure_logs  # noqa: PLC0415
    from app.core.startup import checked_settings  # noqa: PLC0415

    settings = checked_settings()
    configure_logs(level="WARNING", as_json=settings.is_production)
    return settings


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
            print_json({"error": _described(error)})
        typer.echo(error, err=True)
        raise typer.Exit(code) from None
    except KeyboardInterrupt:
        typer.echo(interrupted, err=True)
        raise typer.Exit(INTERRUPTED) from None


def print_json(value: object) -> None:
    """Print what `--json` promises."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _described(error: AppError | StartupError | RequestFailed) -> dict[str, object]:
    """Say it as the API does."""
    if isinstance(error, AppError | RequestFailed):
        return {"code": error.code, "message": error.message, "details": error.details}
    return {"code": "startup_error", "message": str(error), "details": {}}
