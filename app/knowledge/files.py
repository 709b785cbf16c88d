"""A folder of documents, read as its owner would expect.

One bad file never stops the others: it is reported as skipped, with the reason in plain words that
continue its name ("notes.txt is empty").
"""

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from app.knowledge.exceptions import FolderError

__all__ = [
    "SUFFIXES",
    "FoundFile",
    "Skipped",
    "is_document",
    "is_hidden",
    "list_files",
    "read_bytes",
]

# Which files are worth looking into; what they are, their content says.
SUFFIXES: Final = (".md", ".mdx", ".txt", ".rst", ".html", ".htm", ".pdf", ".docx")

# A file may be edited between listing and reading; one that runs away must not fill the memory.
_GROWTH_BYTES: Final = 1_000_000

# The file may have become a FIFO: don't wait for its other end. (Windows has no such flag.)
_OPEN_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

_BROKEN_LINK: Final = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTDIR})

_OUTSIDE: Final = "is a link to a place outside the folder"
_IRREGULAR: Final = "is not a regular file"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to read: its path in the folder (with `/`), its real place, its size in bytes."""

    path: str
    absolute: Path
    size: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that is left out, and why, in words for the user."""

    path: str
    reason: str
    # Its content is unknown; the others are known to have none that could be used.
    unreadable: bool = False


def is_document(name: str) -> bool:
    """Tell whether a file of that name is listed."""
    return name.lower().endswith(SUFFIXES)


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder of that name is passed over in silence."""
    return name.startswith(".") or name == "node_modules"


def list_files(root: Path, *, max_bytes: int) -> tuple[list[FoundFile], list[Skipped]]:
    """List the documents in a folder, or the one file that `root` is; both lists sorted by path.

    Hidden files and folders and `node_modules` are not mentioned at all. Links are followed inside
    the folder only; a folder is listed once, under its real path if that is listed.

    Raises:
        FolderError: `root` is missing, unreadable, or neither a folder nor such a file.
    """
    try:
        str(root).encode()
        listing = _Listing(_real_path(root), max_bytes)
        listing.run()
    except FileNotFoundError:
        raise FolderError(f"There is no file or folder {root}.") from None
    except OSError as error:
        raise FolderError(f"{root} {_reason(error)}.") from error
    except ValueError:
        raise FolderError("A folder's name must be valid UTF-8.") from None
    return (
        sorted(listing.files, key=lambda file: file.path),
        sorted(listing.skipped, key=lambda skipped: skipped.path),
    )


def read_bytes(file: FoundFile, root: Path) -> bytes | Skipped:
    """Read a file that was listed, unless it is empty or has become something else since."""
    try:
        return _read_bytes(file, _real_path(root))
    except OSError as error:
        return _unreadable(file.path, error)
    except _Unsuitable as unsuitable:
        return Skipped(file.path, str(unsuitable))


class _Unsuitable(Exception):
    """The file can be opened, but not used; the text is the reason."""


@dataclass(slots=True)
class _Listing:
    root: Path
    max_bytes: int
    files: list[FoundFile] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    # Folders still to be listed, as (path in the root, real path).
    folders: list[tuple[str, Path]] = field(default_factory=list)
    links: list[tuple[str, Path]] = field(default_factory=list)
    seen: set[tuple[int, int]] = field(default_factory=set)

    def run(self) -> None:
        """Fill `files` and `skipped`; an OSError is about the root itself."""
        status = self.root.stat()
        if stat.S_ISREG(status.st_mode) and is_document(self.root.name):
            self._add_file(self.root.name, self.root, status)
            return
        if not stat.S_ISDIR(status.st_mode):
            raise FolderError(
                f"{self.root} is neither a folder nor a document ({' '.join(SUFFIXES)})."
            )
        self._list_folder("", self.root)
        while self.folders or self.links:
            if not self.folders:
                # Links last: what has a real path in the folder is listed under that.
                self.links.sort(reverse=True)
                self.folders.append(self.links.pop())
            path, absolute = self.folders.pop()
            try:
                self._list_folder(path, absolute)
            except OSError as error:
                self.skipped.append(_unreadable(path, error))

    def _list_folder(self, path: str, absolute: Path) -> None:
        status = absolute.stat()
        identity = (status.st_dev, status.st_ino)
        if identity in self.seen:
            return
        self.seen.add(identity)
        with os.scandir(absolute) as entries:
            for entry in entries:
                if not is_hidden(entry.name):
                    self._add(f"{path}/{entry.name}" if path else entry.name, entry)

    def _add(self, path: str, entry: os.DirEntry[str]) -> None:
        is_link = entry.is_symlink()
        try:
            absolute = _real_path(entry.path) if is_link else Path(entry.path)
            status = absolute.stat()
        except OSError as error:
            if is_document(entry.name) or entry.is_dir(follow_symlinks=False):
                if is_link and error.errno in _BROKEN_LINK:
                    self._skip(path, "is a broken link")
                else:
                    self.skipped.append(_unreadable(path, error))
            return
        is_folder = stat.S_ISDIR(status.st_mode)
        if not is_folder and not is_document(entry.name):
            return
        if not _is_utf8(entry.name):
            self._skip(path, "has a name that is not valid UTF-8")
        elif is_link and not absolute.is_relative_to(self.root):
            self._skip(path, _OUTSIDE)
        elif is_folder:
            (self.links if is_link else self.folders).append((path, absolute))
        else:
            self._add_file(path, absolute, status)

    def _add_file(self, path: str, absolute: Path, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            self._skip(path, _IRREGULAR)
        elif status.st_size > self.max_bytes:
            limit = f"{self.max_bytes / 1_000_000:.3g} MB"
            self._skip(path, f"is larger than {limit} (the setting MAX_DOCUMENT_BYTES)")
        else:
            self.files.append(FoundFile(path, absolute, status.st_size))

    def _skip(self, path: str, reason: str) -> None:
        printable = os.fsencode(path).decode(errors="replace")
        self.skipped.append(Skipped(printable, reason))


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _real_path(path: Path | str) -> Path:
    # Path.resolve() raises a RuntimeError for a loop of links in Python 3.11 and 3.12.
    return Path(os.path.realpath(path, strict=True))


def _unreadable(path: str, error: OSError) -> Skipped:
    return Skipped(path, _reason(error), unreadable=not isinstance(error, FileNotFoundError))


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "disappeared before it could be read"
    return f"can't be read: {(error.strerror or str(error)).lower()}"


def _read_bytes(file: FoundFile, root: Path) -> bytes:
    with open(os.open(file.absolute, _OPEN_FLAGS), "rb") as stream:  # noqa: PTH123 - a descriptor
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise _Unsuitable(_IRREGULAR)
        # The file, or a folder on the way, may have become a link: is what was opened inside?
        real = _real_path(file.absolute)
        if not real.is_relative_to(root) or not os.path.samestat(real.stat(), status):
            raise _Unsuitable(_OUTSIDE)
        limit = file.size + _GROWTH_BYTES
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise _Unsuitable("is growing while it is read")
    if not data or data.isspace():
        # No parser need look at it, in this run and every later one.
        raise _Unsuitable("is empty")
    return data
