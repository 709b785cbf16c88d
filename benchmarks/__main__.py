"""Run every benchmark: `make bench`, or some by name: `python -m benchmarks answers streams`."""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.accounts import accounts
from benchmarks.answers import answers
from benchmarks.chats import chats
from benchmarks.environment import Environment
from benchmarks.growth import growth
from benchmarks.idle import idle
from benchmarks.ingestion import ingestion
from benchmarks.jobs import jobs
from benchmarks.observing import observing
from benchmarks.page import page
from benchmarks.passthrough import passthrough
from benchmarks.peers.comparison import peers
from benchmarks.result import Result
from benchmarks.resync import resync
from benchmarks.search import search
from benchmarks.startup import startup
from benchmarks.streams import streams

BENCHMARKS: dict[str, Callable[[Environment], Awaitable[list[Result]]]] = {
    "startup": startup,
    "answers": answers,
    "observing": observing,
    "search": search,
    "streams": streams,
    "idle": idle,
    "accounts": accounts,
    "passthrough": passthrough,
    "chats": chats,
    "page": page,
    "ingestion": ingestion,
    "jobs": jobs,
    "resync": resync,
    "growth": growth,
    "peers": peers,
}


async def run(names: list[str]) -> int:
    """Run the named benchmarks, all if none is named; return how many missed their target."""
    missed = 0
    for name in names or BENCHMARKS:
        with tempfile.TemporaryDirectory() as folder:
            for result in await BENCHMARKS[name](Environment(Path(folder))):
                print(result, flush=True)
                missed += not result.reached
    return missed


if __name__ == "__main__":
    unknown = [name for name in sys.argv[1:] if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"There is no benchmark {unknown[0]}. There are: {', '.join(BENCHMARKS)}.")
    sys.exit(asyncio.run(run(sys.argv[1:])))
