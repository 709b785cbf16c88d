"""A folder on the server, below one that the operator has named."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from app.knowledge.connectors.config import FolderConfig
from app.knowledge.connectors.models import Content, Entry, Listing
from app.knowledge.exceptions import FolderError, SourceUnusable
from app.knowledge.files import Skipped, list_files, read_bytes

__all__ = ["allowed_path", "open_folder"]


class FolderSnapshot:
    """The files of a folder, as they are when they are read."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        files, skipped = list_files(root, max_bytes=max_bytes)
        self._files = {file.path: file for file in files}
        entries = []
        for file in files:
            data = read_bytes(file, root)
            if isinstance(data, Skipped):
                skipped.append(data)
            else:
                entries.append(Entry(file.path, version=hashlib.sha256(data).hexdigest()))
        self.listing = Listing(entries, skipped)

    def read(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Content | Skipped]]:
        """Yield each file's content."""
        for entry in entries:
            data = read_bytes(self._files[entry.path], self._root)
            yield entry, data if isinstance(data, Skipped) else Content(data)


@contextmanager
def open_folder(
    config: FolderConfig, *, allowed_roots: Sequence[Path], max_bytes: int
) -> Iterator[FolderSnapshot]:
    """List a folder.

    Raises:
        SourceUnusable: it can't be read, or lies elsewhere.
    """
    root = allowed_path(config.path, allowed_roots)
    try:
        yield FolderSnapshot(root, max_bytes)
    except FolderError as error:
        raise SourceUnusable(error.message) from error


def allowed_path(path: str, allowed_roots: Sequence[Path]) -> Path:
    """Return the real path, links resolved, if it lies below an allowed folder.

    Raises:
        SourceUnusable: it doesn't; says nothing of what is there.
    """
    if "\0" not in path:
        real = Path(os.path.realpath(path))
        if any(real.is_relative_to(os.path.realpath(root)) for root in allowed_roots):
            return real
    raise SourceUnusable(
        f"{path} is not below a folder that may be read: the setting INGEST_ROOTS names those."
    )
