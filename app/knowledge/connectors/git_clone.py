"""One commit of a remote repository on this machine, as little of it as the server allows."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Final

from app.knowledge.connectors.git_errors import GitFailed
from app.knowledge.connectors.git_process import Git
from app.knowledge.connectors.git_refs import Tip

__all__ = ["GitClone", "TreeFile"]

_FETCH_TIMEOUT_SEC: Final = 240.0
_TIMEOUT_SEC: Final = 60.0
_REF: Final = "refs/brag/snapshot"
_FETCH: Final = (
    "fetch",
    "--quiet",
    "--no-tags",
    "--no-recurse-submodules",
    "--no-write-fetch-head",
)
_NO_BLOBS: Final = "--filter=blob:none"
_READ_BYTES: Final = 1 << 20
# Room for a million files. A repository of a few kilobytes can have billions.
_MAX_LISTING_BYTES: Final = 100_000_000
_MAX_HEADER_BYTES: Final = 200
_SHA1_DIGITS: Final = 40


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file of a commit: its name in bytes, which need not be UTF-8, and its blob."""

    name: bytes
    blob: str
    is_link: bool


class GitClone:
    """The files of one commit; contents come when they are read.

    Every method raises `GitFailed` when git does, or when the server has not told the truth.
    """

    def __init__(self, git: Git, tip: Tip, *, is_bundle: bool) -> None:
        """Fetch the commit that the ref is at by now."""
        self._git = git
        self._tip = tip
        # A bundle is taken whole; what it lacks git would look for in the bundle, for ever.
        self.commit = self._fetch_commit() if is_bundle else self._fetch_commit(_NO_BLOBS)

    def files(self) -> Iterator[TreeFile]:
        """Yield all files of the commit, links among them; submodules are none."""
        with self._git.stream("ls-tree", "-r", "-z", self.commit) as output:
            for record in _split(output, b"\0"):
                attributes, _, name = record.partition(b"\t")
                mode, kind, blob = attributes.decode("ascii").split()
                if kind == "blob":
                    yield TreeFile(name, blob, is_link=mode == "120000")

    def read(self, blobs: Sequence[str], max_bytes: int) -> Iterator[bytes | None]:
        """Yield the contents of blobs in their order, one at a time; None for too large a one."""
        if missing := self._missing().intersection(blobs):
            self._fetch_blobs(missing)
        sizes = self._sizes(blobs)
        small = [blob for blob in blobs if sizes[blob] <= max_bytes]
        with self._git.stream("cat-file", "--buffer", "--batch", words=small) as output:
            for blob in blobs:
                yield _read_blob(output, blob, sizes[blob]) if sizes[blob] <= max_bytes else None

    def _fetch_commit(self, *options: str) -> str:
        self._git.init("sha1" if len(self._tip.commit) == _SHA1_DIGITS else "sha256")
        refspec = f"+{self._tip.ref}:{_REF}"
        arguments = (*_FETCH, "--depth=1", *options, "--", "origin", refspec)
        with self._git.network(*arguments, timeout_sec=_FETCH_TIMEOUT_SEC):
            pass
        arguments = ("rev-parse", "--verify", f"{_REF}^{{commit}}")
        with self._git.local(*arguments, timeout_sec=_TIMEOUT_SEC) as output:
            return output.read().decode("ascii").strip()

    def _missing(self) -> set[str]:
        arguments = ("rev-list", "--objects", "--no-object-names", "--missing=print", self.commit)
        with self._git.local(*arguments, timeout_sec=_TIMEOUT_SEC) as output:
            lines = _split(output, b"\n")
            return {line[1:].decode("ascii") for line in lines if line.startswith(b"?")}

    def _fetch_blobs(self, blobs: Collection[str]) -> None:
        arguments = (*_FETCH, _NO_BLOBS, "--stdin", "origin")
        try:
            with self._git.network(*arguments, timeout_sec=_FETCH_TIMEOUT_SEC, words=blobs):
                pass
        except GitFailed as error:
            # A server that speaks only git's first protocol gives what refs lead to.
            if "unadvertised object" not in str(error):
                raise
            if self._fetch_commit() != self.commit:
                raise GitFailed("not our ref") from error

    def _sizes(self, blobs: Sequence[str]) -> dict[str, int]:
        unique = list(dict.fromkeys(blobs))
        arguments = ("cat-file", "--buffer", "--batch-check=%(objecttype) %(objectsize)")
        with self._git.local(*arguments, timeout_sec=_TIMEOUT_SEC, words=unique) as output:
            answers = [line.split() for line in output]
        if len(answers) != len(unique) or any(answer[0] != b"blob" for answer in answers):
            raise GitFailed("a blob is missing")
        return {blob: int(answer[1]) for blob, answer in zip(unique, answers, strict=True)}


def _read_blob(output: IO[bytes], blob: str, size: int) -> bytes:
    header = output.readline(_MAX_HEADER_BYTES).split()
    # A newline follows the content.
    data = output.read(size + 1)
    if header != [blob.encode(), b"blob", str(size).encode()] or len(data) <= size:
        raise GitFailed("a blob is damaged")
    return data[:-1]


def _split(output: IO[bytes], separator: bytes) -> Iterator[bytes]:
    rest = b""
    size = 0
    while chunk := output.read(_READ_BYTES):
        size += len(chunk)
        if size > _MAX_LISTING_BYTES:
            raise GitFailed("file too large")
        *records, rest = (rest + chunk).split(separator)
        yield from records
