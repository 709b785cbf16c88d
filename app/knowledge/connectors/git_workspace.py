"""Temporary folders that vanish with the process, even if it is killed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["workspace"]

_PREFIX: Final = "git-"
_LOCK: Final = "lock"


@contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """Yield an empty folder below `folder`, and remove it afterwards; raises `OSError`.

    Its lock is held by this process alone and goes when the process does, however it ends. So a
    folder whose lock is free belongs to nobody, and whoever comes next removes it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Nobody sees a folder before it is locked.
    with _locked(folder / f"{_PREFIX}workspaces.lock"):
        _remove_stale(folder)
        own = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
        lock = _try_lock(own / _LOCK)
    assert lock is not None
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        os.close(lock)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _try_lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_stale(folder: Path) -> None:
    for path in folder.glob(f"{_PREFIX}*/"):
        try:
            lock = _try_lock(path / _LOCK)
        except OSError:  # its owner has just removed it
            continue
        if lock is not None:
            # Errors: a dying git may still be writing there; the next one tries again.
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)
