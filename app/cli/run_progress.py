"""Bars for an ingestion: one for each step, with rate and time left, on standard error."""

import time
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as TimeLeft

__all__ = ["RunProgress"]

ENDED = ("unchanged", "stored", "skipped", "failed")


class RunProgress:
    """Bars on standard error, when somebody is looking."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self.is_shown = self._console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description:9}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeLeft(),
            console=self._console,
            disable=not self.is_shown,
        )
        self._steps: dict[str, TaskID] = {}
        self._begun: dict[str, tuple[float, int]] = {}

    def __enter__(self) -> Self:
        """Show the bars, of which there are none yet."""
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave them as they stand."""
        self._bars.stop()

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def step(
        self, name: str, done: int, total: int | None, *, unit: str = "files", of: int | None = None
    ) -> None:
        """Show how far a step is; `of` counts what its rate is of, if not what is done."""
        counted = done if of is None else of
        now = time.monotonic()
        if name not in self._steps:
            self._steps[name] = self._bars.add_task(name, total=None, rate="")
            # It may have been under way for long.
            self._begun[name] = now, counted
        since, before = self._begun[name]
        rate = (counted - before) / max(now - since, 0.001)
        self._bars.update(
            self._steps[name],
            completed=done,
            total=total,
            rate=f"{counted:,} {unit}, {rate:,.0f}/s" if counted > before else unit,
        )

    def listing(self) -> None:
        """Show that a source is being listed; how much there is, nobody knows yet."""
        self.step("Listing", 0, None)

    def run(self, run: dict[str, Any]) -> None:
        """Show how far an ingestion is, whose source has been listed."""
        listed = run["listed"]
        if run["state"] in ("queued", "listing"):
            self.listing()
            return
        self.step("Listing", listed, listed)
        # What has vanished is not listed, and removed in the end.
        done = min(sum(run[name] for name in ENDED), listed)
        self.step("Storing", done, listed, unit="passages", of=run["passages"])
