"""A bar on standard error."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.progress import TimeRemainingColumn as TimeLeft

__all__ = ["BarProgress"]


class BarProgress:
    """A bar on standard error, with rate and time left, when somebody is looking."""

    def __init__(self, unit: str) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(f"{unit}, {{task.fields[rate]}}"),
            TimeLeft(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("Starting", total=None, rate="")
        self._started = time.monotonic()
        self._texts_before: int | None = None

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave it as it stands."""
        self._bar.stop()

    def texts(self, done: int, total: int) -> None:
        """Show how many texts are embedded."""
        if self._texts_before is None:
            # An earlier run may have been interrupted, and loading a model takes a while.
            self._texts_before, self._started = done, time.monotonic()
        seconds = max(time.monotonic() - self._started, 0.001)
        self._bar.update(
            self._task,
            description="Embedding",
            completed=done,
            total=total,
            rate=f"{(done - self._texts_before) / seconds:.0f}/s",
        )

    def stage(self, name: str, done: int, total: int) -> None:
        """Go on with another kind of work."""
        self._bar.update(self._task, description=name.capitalize(), completed=done, total=total)
