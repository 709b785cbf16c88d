"""The command line: `python -m app`, and `./brag`, which works in any folder."""

import atexit
import gc

import typer

from app.cli.commands import asking, documents, measuring, serving, upkeep, users
from app.cli.commands.shared import OPERATING, group

__all__ = ["main"]

# Under this name it can be completed by shells.
NAME = "brag"

cli: typer.Typer = group(
    help="bRAG: answers from your own documents.",
    epilog="`brag COMMAND --help` has examples, and the exit codes.",
)
for commands in (asking, documents, serving, upkeep, measuring):
    cli.add_typer(commands.cli)
cli.add_typer(users.cli, name="users", rich_help_panel=OPERATING)


def main() -> None:
    """Run a command."""
    # Loading modules makes many objects and no garbage: looking for some every 700 objects, and
    # once more at the end, is a third of a short command's time.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    cli(prog_name=NAME)


if __name__ == "__main__":
    main()
