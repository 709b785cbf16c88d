"""bRAG with a watch on its event loop: `python -m benchmarks.server PORT`."""

import asyncio
import sys
import time

import uvicorn
from fastapi import FastAPI

from app.main import create_app

TICK_SEC = 0.001


class LoopWatch:
    """The longest time that the loop did not come round."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._task: asyncio.Task[None] | None = None

    async def read(self) -> float:
        """Return the longest since the last call, in seconds; the first call starts the watch."""
        self._task = self._task or asyncio.create_task(self._watch())
        longest, self.longest = self.longest, 0.0
        return longest

    async def _watch(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(TICK_SEC)
            self.longest = max(self.longest, time.perf_counter() - before - TICK_SEC)


def watched_app() -> FastAPI:
    """Return bRAG with one more route."""
    app = create_app()
    app.add_api_route("/longest-block", LoopWatch().read)
    return app


if __name__ == "__main__":
    uvicorn.run(watched_app(), port=int(sys.argv[1]), log_config=None)
