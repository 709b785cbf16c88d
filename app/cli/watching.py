"""A folder that is kept in step with its files until somebody presses Ctrl-C."""

from collections.abc import Callable
from pathlib import Path

import typer
from watchfiles import Change, watch

from app.core.exceptions import AppError, StartupError
from app.knowledge.files import is_document, is_hidden

__all__ = ["watch_folder"]

# A change is acted on when there was no other for so long, or after so much of changing.
QUIET_MS = 200
LONGEST_MS = 3000
# How soon the first run begins, too.
WAIT_MS = 300


def watch_folder(folder: Path, sync: Callable[[], object], *, ignored: Path) -> None:
    """Call `sync` now, and again after changes, until Ctrl-C; what fails is said and no end.

    `ignored` is bRAG's own folder, in which every run changes something.

    Raises:
        KeyboardInterrupt: in the middle of a run; between them it is the way to end.
    """
    own = ignored.resolve()
    has_own = own.is_relative_to(folder)

    def matters(change: Change, name: str) -> bool:
        path = Path(name)
        if has_own and path.is_relative_to(own):
            return False
        if any(map(is_hidden, path.relative_to(folder).parts)):
            return False
        # Of a folder that is gone one doesn't hear what was in it.
        return change is Change.deleted or is_document(path.name) or path.is_dir()

    # It watches from before it yields for the first time, so no change is missed.
    changes = watch(
        folder,
        watch_filter=matters,
        debounce=LONGEST_MS,
        step=QUIET_MS,
        rust_timeout=WAIT_MS,
        yield_on_timeout=True,
    )
    is_due = True
    while True:
        try:
            is_due |= bool(next(changes))
        except KeyboardInterrupt:
            return
        if is_due:
            is_due = False
            try:
                sync()
            except (AppError, StartupError) as error:
                typer.echo(error, err=True)
            typer.echo(f"Watching {folder}. Ctrl-C ends it.", err=True)
