"""The files of the page: read once, compressed once, named by what is in all of them."""

import gzip
import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from settings import Settings

__all__ = ["File", "Files"]

TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX: Final = "index.html"


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is sent, and compressed."""

    media_type: str
    content: bytes
    compressed: bytes
    etag: str

    @classmethod
    def of(cls, name: str, content: bytes) -> "File":
        """Make one of its content."""
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        return cls(TYPES[Path(name).suffix], content, gzip.compress(content, mtime=0), etag)


class Files:
    """The page and what it loads.

    Modules name each other by relative paths, so the hash stands in the folder's name: as soon as
    one file changes, all have a new address, and a browser may keep what it has for ever.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        contents = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.suffix in TYPES
        }
        hashed = hashlib.sha256()
        for name, content in contents.items():
            hashed.update(f"{name} {len(content)}\n".encode() + content)
        self.version: Final = hashed.hexdigest()[:12]
        page = Template(contents.pop(INDEX).decode()).substitute(
            version=self.version, name=html.escape(settings.app_name), auth=settings.auth.value
        )
        self.page: Final = File.of(INDEX, page.encode())
        self._files: Mapping[str, File] = {
            name: File.of(name, content) for name, content in contents.items()
        }

    def find(self, name: str) -> File | None:
        """Return a file that the page loads."""
        return self._files.get(name)
