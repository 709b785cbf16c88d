"""A terminal that a command runs in, as somebody sits in front of it."""

import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fcntl import ioctl
from pathlib import Path

from settings import ROOT

__all__ = ["CTRL_C", "CTRL_D", "TAB", "Terminal", "open_terminal"]

CTRL_C = "\x03"
CTRL_D = "\x04"
TAB = "\t"

# Ctrl-C goes to whom the terminal controls.
IN_CONTROL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-Z\\-_=>])")


class Terminal:
    """What a command shows, and the keys that it is sent."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self._raw = b""
        self._seen = 0

    @property
    def text(self) -> str:
        """All that was shown so far, without colours and moves of the cursor."""
        return _ESCAPES.sub("", self.raw).replace("\r", "")

    @property
    def raw(self) -> str:
        """The same as it was sent."""
        return self._raw.decode(errors="replace")

    def send(self, keys: str) -> None:
        """Press keys."""
        os.write(self._descriptor, keys.encode())

    def expect(self, words: str, *, within: float = 30) -> str:
        """Wait for words behind those that were expected last; return what was shown until then."""
        end = time.monotonic() + within
        while (at := self.text.find(words, self._seen)) < 0:
            assert time.monotonic() < end, f"no {words!r} in {self.text[self._seen :]!r}"
            assert self._read(0.1), f"it ended without {words!r}: {self.text[self._seen :]!r}"
        before = self.text[self._seen : at]
        self._seen = at + len(words)
        return before

    def wait(self, *, within: float = 30) -> int:
        """Wait for the command's end; return its exit code."""
        end = time.monotonic() + within
        while self._read(0.1):
            assert time.monotonic() < end, f"it goes on: {self.text!r}"
        return self.process.wait(timeout=within)

    def _read(self, seconds: float) -> bool:
        """Take in what there is; tell whether more may come."""
        if select.select([self._descriptor], [], [], seconds)[0]:
            # Linux says that nobody holds the other end any more by an error.
            with suppress(OSError):
                if part := os.read(self._descriptor, 65_536):
                    self._raw += part
                    return True
            return False
        return True


@contextmanager
def open_terminal(
    command: Sequence[str | Path], environment: Mapping[str, str], *, columns: int = 100
) -> Iterator[Terminal]:
    """Run a command in a terminal of its own until the block ends."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", IN_CONTROL, *command],
        cwd=ROOT,
        env={"TERM": "xterm-256color", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
