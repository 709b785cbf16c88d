"""Which files of a source are documents: glob patterns and path prefixes."""

import fnmatch
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Final

__all__ = ["FileFilter"]

_ANY_FOLDERS: Final = "**"

# A segment of a pattern; None stands for any number of folders.
_Segment = re.Pattern[str] | None


class FileFilter:
    """Picks the files that a source's owner asked for.

    A pattern is a glob for the whole path: `*`, `?` and `[...]` stay inside one name, `**` is any
    number of folders, none included; upper and lower case are the same. A prefix is a folder or a
    file, written exactly. Hidden files and folders and `node_modules` are left out, except where a
    prefix itself names them.
    """

    def __init__(self, path_prefixes: Sequence[str], patterns: Sequence[str]) -> None:
        prefixes = {tuple(_segments(prefix)) for prefix in path_prefixes}
        self._prefixes: list[tuple[str, ...]] = sorted(prefixes) or [()]
        self._patterns = [_compile(pattern) for pattern in patterns]
        # Lists of lists, so that no separator in a name can make two filters look the same.
        terms = [self._prefixes, sorted({"/".join(_segments(pattern)) for pattern in patterns})]
        self._fingerprint = hashlib.sha256(json.dumps(terms).encode()).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Another one whenever the filter may pick other files: 64 hexadecimal digits."""
        return self._fingerprint

    def wants(self, path: str) -> bool:
        """Tell whether a file is a document; `path` is relative, with `/`."""
        names = path.split("/")
        return any(
            tuple(names[: len(prefix)]) == prefix and not _any_hidden(names[len(prefix) :])
            for prefix in self._prefixes
        ) and any(_matches(pattern, names) for pattern in self._patterns)

    def enters(self, folder: str) -> bool:
        """Tell whether a folder can have wanted files below it; False saves reading it."""
        names = tuple(folder.split("/"))
        return any(
            names[: len(prefix)] == prefix[: len(names)] and not _any_hidden(names[len(prefix) :])
            for prefix in self._prefixes
        )


def _segments(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in {"", "."}]


def _any_hidden(names: Sequence[str]) -> bool:
    return any(name.startswith(".") or name == "node_modules" for name in names)


def _compile(pattern: str) -> list[_Segment]:
    return [
        None if name == _ANY_FOLDERS else re.compile(fnmatch.translate(name), re.IGNORECASE)
        for name in _segments(pattern)
    ]


def _matches(pattern: list[_Segment], names: list[str]) -> bool:
    """Match from the left, going back to the last `**` only: never more than len * len steps.

    One regular expression for the whole path would take exponential time for `**/**/**/…`.
    """
    at = name = 0
    retry_at = retry_name = -1
    while name < len(names):
        if at < len(pattern) and (segment := pattern[at]) is None:
            retry_at, retry_name = at + 1, name
            at += 1
        elif at < len(pattern) and segment is not None and segment.match(names[name]):
            at, name = at + 1, name + 1
        elif retry_at >= 0:
            retry_name += 1
            at, name = retry_at, retry_name
        else:
            return False
    return all(segment is None for segment in pattern[at:])
