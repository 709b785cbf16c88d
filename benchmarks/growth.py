"""What a knowledge base of 1,000, 10,000 and 100,000 chunks takes, with the embedded index."""

import asyncio
import contextlib
import json
import random
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import numpy as np

from app.knowledge.edge_generation import NOTE
from app.knowledge.edge_index import OPTIMISE_AFTER
from app.knowledge.sparse import SparseEncoder
from app.resources.database import open_database
from app.resources.embedder import load_embedder
from app.resources.service import Resources, open_resources
from benchmarks.environment import Environment, free_port, milliseconds
from benchmarks.knowledge import fill, sentence
from benchmarks.result import Result

__all__ = ["growth"]

SIZES = (1_000, 10_000, 100_000)
QUERIES = 300
QUESTIONS = 50
TIMEOUT_SEC = 600
POLL_SEC = 0.05


@dataclass(frozen=True)
class _Server:
    """A serving process: how long it took until it found everything, and its memory."""

    ready_sec: float
    pid: int
    client: httpx2.AsyncClient

    def memory(self, name: str) -> float:
        """Return `VmRSS`, or `VmHWM`, its highest value, in MB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith(name))) / 1024


async def growth(environment: Environment) -> list[Result]:
    """Measure a replica in a fresh process at each size."""
    return [result for size in SIZES for result in await _at(environment, size)]


async def _at(environment: Environment, chunks: int) -> list[Result]:
    settings = environment.settings
    embedder = load_embedder(settings)
    async with open_database(settings) as database:
        await fill(
            database, chunks=chunks, model=embedder.model_name, dimensions=embedder.dimensions
        )
        shutil.rmtree(settings.qdrant_dir, ignore_errors=True)
        async with _server(environment) as fresh:
            fresh_peak = fresh.memory("VmHWM")
        async with open_resources(settings) as resources:
            await resources.follower.caught_up()
            assert await resources.index.count() == chunks
            query_time = await _query_time(resources)
            before = ""
            if chunks >= OPTIMISE_AFTER:
                before = f"{query_time:.2f} ms until the graph is built"
                await _optimised(settings.qdrant_dir)
                query_time = await _query_time(resources)
        async with _server(environment) as again:
            await _ask(again.client)
            rss = again.memory("VmRSS")
        disk = sum(path.stat().st_blocks for path in settings.qdrant_dir.rglob("*")) * 512 / 1e6
    return [
        Result(
            f"hybrid query, median, {chunks:,} chunks",
            query_time,
            "ms",
            at_most=3,
            parts=before,
        ),
        Result(
            f"start to ready, {chunks:,} chunks",
            again.ready_sec,
            "s",
            at_most=5,
            parts=f"{disk:.0f} MB on disk",
        ),
        Result(
            f"memory of the serving process, {chunks:,} chunks",
            rss,
            "MB",
            at_most=1_500,
            parts=f"{fresh_peak:.0f} MB at most while the replica is filled",
        ),
        Result(
            f"start to ready with a fresh replica, {chunks:,} chunks",
            fresh.ready_sec,
            "s",
            at_most=30,
        ),
    ]


@asynccontextmanager
async def _server(environment: Environment) -> AsyncIterator[_Server]:
    port = free_port()
    started = time.perf_counter()
    async with (
        environment.process("-m", "benchmarks.server", str(port)) as process,
        httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False
        ) as client,
        asyncio.timeout(TIMEOUT_SEC),
    ):
        await _ready(client)
        yield _Server(time.perf_counter() - started, process.pid, client)


async def _ready(client: httpx2.AsyncClient) -> None:
    """Wait until everything that is stored can be found."""
    while True:
        with contextlib.suppress(httpx2.TransportError):
            index = (await client.get("/readiness")).json()["parts"]["index"]
            if index["status"] == "ok" and index["lag_changes"] == 0:
                return
        await asyncio.sleep(POLL_SEC)


async def _query_time(resources: Resources) -> float:
    random_ = random.Random(4)
    vectors = np.random.default_rng(5).standard_normal((QUERIES, resources.embedder.dimensions))
    encoder = SparseEncoder()
    times = []
    for vector in vectors:
        dense = (vector / np.linalg.norm(vector)).tolist()
        sparse = encoder.encode_query(sentence(random_))
        started = time.perf_counter()
        legs = await resources.index.search(dense, sparse, limit=100)
        times.append(time.perf_counter() - started)
        assert len(legs.dense) == 100
        # The follower has a turn too.
        await asyncio.sleep(0)
    return milliseconds(times)


async def _optimised(qdrant_dir: Path) -> None:
    """Wait until the graph is built and in use."""
    async with asyncio.timeout(TIMEOUT_SEC):
        # It wakes nobody: another process builds it.
        while not _has_graph(qdrant_dir):  # noqa: ASYNC110
            await asyncio.sleep(1)


def _has_graph(qdrant_dir: Path) -> bool:
    # The generation without one is removed when the other takes over.
    notes = list(qdrant_dir.glob(f"*/*/{NOTE}"))
    with contextlib.suppress(FileNotFoundError):
        return len(notes) == 1 and json.loads(notes[0].read_text())["unoptimised"] == 0
    return False


async def _ask(client: httpx2.AsyncClient) -> None:
    random_ = random.Random(6)
    for _ in range(QUESTIONS):
        answer = await client.post("/v1/qa-create", json={"message": sentence(random_)})
        assert answer.is_success, answer.text
