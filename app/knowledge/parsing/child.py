"""The process that parses hostile formats: `python -m app.knowledge.parsing.child FD BYTES`.

It answers one request after the other on the connection FD until that is closed, and may take so
many bytes of memory. Whatever happens to it, its parent only loses one document.
"""

import ctypes
import json
import os
import re
import resource
import signal
import sys
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from app.knowledge.exceptions import SourceUnusable
from app.knowledge.parsing.convert import convert
from app.knowledge.parsing.models import Kind

__all__ = ["OUT_OF_MEMORY"]

OUT_OF_MEMORY: Final = 3  # its exit status

_PR_SET_PDEATHSIG: Final = 1
# libxml2 allows 2,048 levels of elements, and converting one takes a few calls.
_RECURSION_LIMIT: Final = 10_000


def _main() -> None:
    descriptor, memory_bytes = map(int, sys.argv[1:])
    _die_with_parent()
    _limit_memory(memory_bytes)
    sys.setrecursionlimit(_RECURSION_LIMIT)
    # Ctrl+C is for the parent, which closes the connection.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Connection(descriptor) as connection:
        connection.send_bytes(b"ready")
        while True:
            try:
                request = json.loads(connection.recv_bytes())
                data = connection.recv_bytes()
            except EOFError:
                return
            answer = json.dumps(_answer(data, **request), ensure_ascii=False)
            connection.send_bytes(answer.encode())
            if _peak_memory_bytes() > memory_bytes // 2:
                # What this document has left behind must not fail the next one.
                return


def _answer(data: bytes, kind: str, media_type: str | None) -> dict[str, Any]:
    try:
        return {"parsed": asdict(convert(Kind(kind), data, media_type))}
    except SourceUnusable as unusable:
        return {"unusable": str(unusable)}
    except (MemoryError, SystemError):
        # The second is what an extension in C may make of the first. Nothing can be relied on any
        # more.
        os._exit(OUT_OF_MEMORY)
    except RecursionError:
        return {"unusable": "is nested too deeply to be read"}
    except Exception as error:  # noqa: BLE001 - hostile input may make a library raise anything
        return {"unusable": f"can't be read: it may be damaged ({type(error).__name__})"}


def _die_with_parent() -> None:
    """Don't go on parsing for a parent that was killed; where this fails, until the answer."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit_memory(memory_bytes: int) -> None:
    # macOS knows the limit but refuses to set it.
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _peak_memory_bytes() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        # macOS, which counts in bytes. On Linux this may tell the peak of the parent instead, for
        # it is kept through fork and exec.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    [kilobytes] = re.findall(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) * 1024


if __name__ == "__main__":
    _main()
