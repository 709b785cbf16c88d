"""Parses any document; hostile formats in a process of their own, which may die of them."""

import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

from app.knowledge.exceptions import ParserFailed, SourceUnavailable, SourceUnusable
from app.knowledge.parsing.child import OUT_OF_MEMORY
from app.knowledge.parsing.convert import MAX_TEXT_CHARACTERS, convert
from app.knowledge.parsing.kinds import kind_of
from app.knowledge.parsing.models import Kind, Parsed
from settings import ROOT

__all__ = ["Parser"]

_log = logging.getLogger(__name__)

_HOSTILE: Final = frozenset({Kind.HTML, Kind.PDF, Kind.DOCX})
# JSON writes a character with at most six bytes.
_MAX_ANSWER_BYTES: Final = 6 * MAX_TEXT_CHARACTERS + 100_000
# No key or password for a process that a document may take over.
_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR")
_CHILD_MODULE: Final = "app.knowledge.parsing.child"
_START_SEC: Final = 60
_EXIT_SEC: Final = 5


class Parser:
    """Turns documents into text; for one thread.

    Args:
        timeout_sec: for one document of a hostile format.
        memory_bytes: of address space for the process that parses those.
    """

    def __init__(self, *, timeout_sec: float = 60, memory_bytes: int = 1_000_000_000) -> None:
        self._timeout_sec = timeout_sec
        self._memory_bytes = memory_bytes
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop_child()

    def parse(self, data: bytes, path: str, media_type: str | None) -> Parsed:
        """Turn a document into text, whatever its name says that it is.

        Raises:
            SourceUnusable: it is of no kind that bRAG reads, damaged, empty, or takes too much.
            SourceUnavailable: the process that should parse it does not start, or was killed.
        """
        kind = kind_of(data, path, media_type)
        if kind not in _HOSTILE:
            return convert(kind, data, media_type)
        was_used = self._child is not None
        try:
            return self._parse_in_child(kind, data, media_type)
        except _Died as death:
            # Only a fresh process dies of the document that it was given.
            if not was_used or death.timed_out:
                raise self._verdict(kind, death) from None
        try:
            return self._parse_in_child(kind, data, media_type)
        except _Died as death:
            raise self._verdict(kind, death) from None

    def _parse_in_child(self, kind: Kind, data: bytes, media_type: str | None) -> Parsed:
        if self._child is None:
            try:
                self._child = _Child(self._memory_bytes)
            except (OSError, _Died):
                raise SourceUnavailable("could not be read: its parser does not start") from None
        try:
            answer = self._child.ask(kind, data, media_type, self._timeout_sec)
        except BaseException:
            # An interrupted exchange would answer the next document with this one's text.
            self._stop_child()
            raise
        if "unusable" in answer:
            raise SourceUnusable(answer["unusable"])
        return Parsed(**answer["parsed"])

    def _verdict(self, kind: Kind, death: "_Died") -> Exception:
        """What the death of the process says about the document."""
        if death.timed_out:
            return ParserFailed(f"takes longer than {self._timeout_sec:g} s to read")
        if death.status == OUT_OF_MEMORY:
            return ParserFailed(
                f"needs more than {self._memory_bytes / 1_000_000_000:g} GB of memory to read"
            )
        if death.status == -signal.SIGKILL:
            return SourceUnavailable(
                "could not be read: its parser was killed, maybe because the machine ran out of "
                "memory"
            )
        _log.warning("the parser ended with status %s on a document of %s", death.status, kind)
        return ParserFailed("can't be read: its parser crashed")

    def _stop_child(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None


class _Died(Exception):
    """The process has ended instead of answering."""

    def __init__(self, status: int, *, timed_out: bool) -> None:
        super().__init__(status)
        self.status = status
        self.timed_out = timed_out


class _Child:
    def __init__(self, memory_bytes: int) -> None:
        self._connection, other_end = multiprocessing.Pipe()
        with other_end:
            descriptor = other_end.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", _CHILD_MODULE, str(descriptor), str(memory_bytes)],
                cwd=ROOT,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[descriptor],
            )
        try:
            with self._deadline(_START_SEC):
                self._connection.recv_bytes()
        except BaseException:
            self.stop()
            raise

    def ask(
        self, kind: Kind, data: bytes, media_type: str | None, timeout_sec: float
    ) -> dict[str, Any]:
        with self._deadline(timeout_sec):
            request = {"kind": kind, "media_type": media_type}
            self._connection.send_bytes(json.dumps(request).encode())
            self._connection.send_bytes(data)
            answer: dict[str, Any] = json.loads(self._connection.recv_bytes(_MAX_ANSWER_BYTES))
            return answer

    def stop(self) -> None:
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _end(self) -> int:
        """Its status, once the connection is broken: it ends by itself unless that is its fault."""
        try:
            return self._process.wait(_EXIT_SEC)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    @contextmanager
    def _deadline(self, timeout_sec: float) -> Iterator[None]:
        """Kill the process when it takes longer, which ends every wait for it.

        Raises:
            _Died: the process has ended, for this reason or another.
        """
        timed_out = threading.Event()

        def kill() -> None:
            timed_out.set()
            self._process.kill()

        timer = threading.Timer(timeout_sec, kill)
        timer.start()
        try:
            yield
        except (EOFError, OSError):
            raise _Died(self._end(), timed_out=timed_out.is_set()) from None
        finally:
            timer.cancel()
