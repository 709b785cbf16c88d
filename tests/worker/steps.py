"""Steps that do what a document's path says, and write down what they do."""

import asyncio
import json
import os
import signal
import subprocess
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.knowledge.exceptions import SourceUnavailable

__all__ = ["Event", "ScriptedSteps", "gone", "read_journal", "started"]

PATIENCE_SEC = 60


@dataclass(frozen=True)
class Event:
    """A step that began."""

    step: str
    pid: int
    worker: int
    path: str | None = None
    message: str | None = None
    final: bool | None = None


class ScriptedSteps:
    """Steps whose paths are `<what to do>-<anything>`."""

    def __init__(self, folder: Path) -> None:
        """Keep a journal in that folder."""
        self._journal = folder / "journal"

    def list_source(self, ingestion_id: str) -> None:
        """Note it."""
        self._note("list", path=ingestion_id)

    def fetch_document(self, ingestion_id: str, path: str) -> bool:
        """Do what the path says."""
        self._note("fetch", path)
        match path.partition("-")[0]:
            case "hang":
                hang(self._journal.parent / f"{path}.pid")
            case "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            case "killer":
                os.kill(os.getppid(), signal.SIGKILL)
                time.sleep(600)
            case "wait":
                wait_for(self._journal.parent / "go")
            case "unavailable" | "unnoted":
                raise SourceUnavailable("The site does not answer.")
            case "broken":
                raise ValueError("the password is hunter2")
            case "twice" if self._count("fetch", path) <= 2:
                raise SourceUnavailable("Not yet.")
        return not path.startswith("empty")

    def store_document(self, ingestion_id: str, path: str) -> None:
        """Note it."""
        self._note("store", path)

    def note_failure(
        self, ingestion_id: str, path: str | None, message: str, *, final: bool
    ) -> None:
        """Note it."""
        self._note("failure", path, message=message, final=final)
        if path == "unnoted" and self._count("failure", path) == 1:
            raise ConnectionError

    def schedule(self) -> None:
        """Note it."""
        self._note("schedule")

    def clean(self) -> None:
        """Do nothing."""

    def prune(self) -> None:
        """Note it."""
        self._note("prune")

    # What only the tests of slots call.

    def pid(self) -> int:
        """Return the child's."""
        return os.getpid()

    def echo(self, value: Any) -> Any:
        """Return it."""
        return value

    def fail(self, error: Exception) -> None:
        """Raise it."""
        raise error

    def fail_strangely(self) -> None:
        """Raise what can't be pickled."""
        raise Strange(threading.Lock())

    def die(self) -> None:
        """Be killed, as if memory had run out."""
        os.kill(os.getpid(), signal.SIGKILL)

    def hang(self, note: Path) -> None:
        """Never end, with a program started and the GIL held; note both pids."""
        hang(note)

    def signal_self(self) -> str:
        """Get what everybody gets when a service is stopped."""
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        return "still here"

    def _note(self, step: str, path: str | None = None, **more: Any) -> None:
        line = json.dumps(asdict(Event(step, os.getpid(), os.getppid(), path, **more))) + "\n"
        with self._journal.open("a") as journal:
            journal.write(line)

    def _count(self, step: str, path: str) -> int:
        return sum(
            event.step == step and event.path == path
            for event in read_journal(self._journal.parent)
        )


class Strange(Exception):
    """Holds what can't be pickled."""


def hang(note: Path) -> None:
    program = subprocess.Popen(["sleep", "600"])
    written = note.with_suffix(".writing")
    written.write_text(f"{os.getpid()} {program.pid}")
    written.rename(note)
    # In C, and with the GIL, until the end of time.
    sum(range(10**18))


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def read_journal(folder: Path) -> list[Event]:
    """Return what has been noted, in order."""
    journal = folder / "journal"
    if not journal.exists():
        return []
    return [Event(**json.loads(line)) for line in journal.read_text().splitlines()]


def is_alive(pid: int) -> bool:
    """Tell whether a process does anything; one that waits to be reaped doesn't."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


async def started(note: Path) -> list[int]:
    """Wait for a step that hangs; return its pid and that of the program it has started."""
    async with asyncio.timeout(PATIENCE_SEC):
        while not (text := _read(note)):
            await asyncio.sleep(0.01)
    return [int(pid) for pid in text.split()]


async def gone(*pids: int) -> None:
    """Wait until none of the processes does anything."""
    async with asyncio.timeout(PATIENCE_SEC):
        while any(map(is_alive, pids)):
            await asyncio.sleep(0.01)


def _read(note: Path) -> str:
    return note.read_text() if note.exists() else ""
