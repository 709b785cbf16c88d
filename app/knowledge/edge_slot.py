"""The folder that one process has for its replica, and the next process goes on with."""

import fcntl
import itertools
import logging
import shutil
import socket
import uuid
from pathlib import Path
from typing import Self, TextIO

from app.knowledge.edge_generation import NOTE, EdgeFailure, EdgeGeneration
from app.knowledge.vector_index import IndexSpec

__all__ = ["EdgeSlot", "slot_name"]

logger = logging.getLogger(__name__)


class EdgeSlot:
    """A numbered folder, locked for as long as the process lives."""

    def __init__(self, folder: Path, lock: TextIO) -> None:
        self.folder = folder
        self._lock = lock

    @classmethod
    def take(cls, root: Path) -> Self:
        """Lock the first folder below `root` that nobody has; raises `OSError`."""
        for number in itertools.count():
            folder = root / str(number)
            folder.mkdir(parents=True, exist_ok=True)
            if (slot := cls.take_if_free(folder)) is not None:
                return slot
        raise AssertionError

    @classmethod
    def take_with_replica(cls, root: Path, spec: IndexSpec) -> Self | None:
        """Lock a folder that nobody has and that holds a replica of `spec`; raises `OSError`.

        Where a model was replaced, the first folder may be an empty one.
        """
        folders = [path for path in root.glob("*") if path.name.isdecimal()]
        for folder in sorted(folders, key=lambda path: int(path.name)):
            if any(EdgeGeneration.is_complete(path, spec) for path in folder.glob("*/")):
                slot = cls.take_if_free(folder)
                if slot is not None:
                    return slot
        return None

    @classmethod
    def take_if_free(cls, folder: Path) -> Self | None:
        """Lock a folder, unless somebody has it; raises `OSError`."""
        lock = (folder / "lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        except BaseException:
            lock.close()
            raise
        return cls(folder, lock)

    @property
    def name(self) -> str:
        """Name the slot among those of all machines."""
        return slot_name(self.folder)

    def new_folder(self) -> Path:
        """Name a folder for the next generation, one that nobody has ever used."""
        newest = max((_number(folder) for folder in self._folders()), default=0)
        return self.folder / f"{newest + 1:06}-{uuid.uuid4().hex[:8]}"

    def open_newest(self, spec: IndexSpec) -> EdgeGeneration | None:
        """Open the newest generation that is usable, if there is one, and remove all others."""
        usable: EdgeGeneration | None = None
        for folder in self.generations():
            if usable is None and (folder / NOTE).exists():
                try:
                    usable = EdgeGeneration.load(folder, spec)
                    continue
                except EdgeFailure as error:
                    logger.warning("a vector index is thrown away: %s", error)
            shutil.rmtree(folder, ignore_errors=True)
        return usable

    def generations(self) -> list[Path]:
        """Return the folders of all generations, the newest first."""
        return sorted(self._folders(), key=_number, reverse=True)

    def release(self) -> None:
        """Let another process have the folder."""
        self._lock.close()

    def _folders(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.is_dir()]


def slot_name(folder: Path) -> str:
    """Name a slot's folder among those of all machines."""
    return f"{socket.gethostname()}:{folder.resolve()}"


def _number(folder: Path) -> int:
    number = folder.name.partition("-")[0]
    return int(number) if number.isdecimal() else 0
