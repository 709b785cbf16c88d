"""A worker in the test's own process whose steps note that they have begun, and which process."""

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from app.core.database import Database
from app.knowledge.ingestions.steps import open_steps
from app.knowledge.parsing.sandbox import Parser
from app.worker.engine import DEFAULT_TIMING, Concurrency, run_worker
from app.worker.tasks import Steps, Timing
from settings import Settings
from tests.support import eventually

__all__ = ["Notes", "noting_worker"]


class Notes:
    """What has been noted in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pid(self, step: str) -> int | None:
        """Return the process of the last such step; None before any."""
        note = self._folder / step
        return int(note.read_text()) if note.exists() else None

    async def begun(self, step: str) -> int:
        """Wait until a step has begun; return its process."""

        async def has_begun() -> bool:
            return self.pid(step) is not None

        await eventually(has_begun, within=60)
        pid = self.pid(step)
        assert pid is not None
        return pid


class NotingSteps:
    """The steps, and notes of them in a folder."""

    def __init__(self, settings: Settings, url: str, folder: Path, parser_sec: float) -> None:
        self._steps = open_steps(settings, url)
        self._steps._parser = Parser(timeout_sec=parser_sec)
        self._folder = folder

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a step that first notes its process."""

        def step(*args: Any, **kwargs: Any) -> Any:
            note = self._folder / f".{name}"
            note.write_text(str(os.getpid()))
            note.rename(self._folder / name)
            return getattr(self._steps, name)(*args, **kwargs)

        return step


def _open(settings: Settings, url: str, folder: Path, parser_sec: float) -> Steps:
    return cast("Steps", NotingSteps(settings, url, folder, parser_sec))


@asynccontextmanager
async def noting_worker(
    settings: Settings,
    database: Database,
    folder: Path,
    *,
    timing: Timing = DEFAULT_TIMING,
    parser_sec: float = 60,
) -> AsyncIterator[Notes]:
    """Work until the block ends; `folder` is created for the notes."""
    folder.mkdir()  # noqa: ASYNC240 -- a test can wait
    stop = asyncio.Event()
    worker = asyncio.create_task(
        run_worker(
            database,
            functools.partial(_open, settings, database.url, folder, parser_sec),
            stop,
            concurrency=Concurrency(document=1),
            timing=timing,
        )
    )
    try:
        yield Notes(folder)
    finally:
        stop.set()
        await worker
