"""The child process of a slot, which has two arguments, both file descriptors.

The link is a socket over which it gets one call after the other; the lifeline the reading end of a
pipe on which nothing ever comes, but which ends when the parent does, however it dies. Every
message is an 8-byte length and a pickle; a reply comes after a byte that says "heard", and tells
the stages that were timed, too. Children start quickly, since little is imported here.
"""

import fcntl
import os
import pickle
import signal
import socket
import struct
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.core.logs import log_fields, request_id
from app.core.stages import Timed, listen

if TYPE_CHECKING:
    from io import BufferedRWPair

__all__ = ["HEADER", "HEARD", "StepError", "main"]

HEADER = struct.Struct(">Q")
# What it says when it has got a call and begins with it.
HEARD = b"!"
# Of 1000: when memory runs out, Linux ends a child rather than the worker or the database.
OOM_SCORE = "500"


class StepError(Exception):
    """What a step raised, as text: it could not travel to the parent as it was."""


def main() -> None:
    """Make the object whose methods are called, and call them until the parent goes away."""
    link, lifeline = (int(argument) for argument in sys.argv[1:])
    for descriptor in (link, lifeline):
        os.set_inheritable(descriptor, False)
    _die_with_parent(lifeline)
    for number in (signal.SIGTERM, signal.SIGINT):
        # Whoever stops all processes at once, as systemd does, wants the worker to decide. Not
        # SIG_IGN: programs that a step starts would inherit it.
        signal.signal(number, lambda *_: None)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE, encoding="ascii")
    with socket.socket(fileno=link) as connection, connection.makefile("rwb") as stream:
        _serve(stream)


def _serve(stream: "BufferedRWPair[Any, Any]") -> None:
    setup = _read(stream)
    subject = None
    stages: list[Timed] = []
    listen(stages.append)
    while setup is not None and (request := _read(stream)) is not None:
        stream.write(HEARD)
        stream.flush()
        try:
            if subject is None:
                subject = pickle.loads(setup)()  # noqa: S301 # nosec B301
            method, args, kwargs, (current, fields) = pickle.loads(request)  # noqa: S301 # nosec B301
            request_id.set(current)
            log_fields.set(fields)
            reply = pickle.dumps((True, getattr(subject, method)(*args, **kwargs), stages))
        except Exception as error:  # noqa: BLE001 -- the parent decides about it
            reply = _pickled(error, stages)
        stages.clear()
        stream.write(HEADER.pack(len(reply)) + reply)
        stream.flush()


def _read(stream: "BufferedRWPair[Any, Any]") -> bytes | None:
    """Return the next message; None when the parent is gone."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    (size,) = HEADER.unpack(header)
    return stream.read(size)


def _pickled(error: Exception, stages: list[Timed]) -> bytes:
    trace = "".join(traceback.format_exception(error))
    error.add_note(trace)
    try:
        reply = pickle.dumps((False, error, stages))
        # Many exceptions can be pickled and not read again.
        pickle.loads(reply)  # noqa: S301 # nosec B301
    except Exception:  # noqa: BLE001 -- whatever its own code raises
        plain: Any = StepError(f"{type(error).__name__}: {error}")
        plain.add_note(trace)
        reply = pickle.dumps((False, plain, stages))
    return reply


def _die_with_parent(lifeline: int) -> None:
    """Have this process and all that it started killed as soon as the parent is gone."""
    threading.Thread(target=_wait_for_end, args=(lifeline,), daemon=True).start()
    if sys.platform == "linux":
        # A thread needs the GIL, which a regular expression may hold for hours. The kernel needs
        # nothing: the pipe's end is an event for which it signals the whole process group.
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)


def _wait_for_end(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)
