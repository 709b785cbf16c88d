"""200 streams at once on one process: all whole, and the loop always free."""

import asyncio
import json
import time

import httpx2

from app.resources.service import open_resources
from benchmarks.answers import QUESTION
from benchmarks.environment import Environment
from benchmarks.knowledge import fill
from benchmarks.result import Result
from benchmarks.upstream import PIECES

__all__ = ["streams"]

STREAMS = 200


async def streams(environment: Environment) -> list[Result]:
    """Measure on 10,000 chunks, with an upstream that sends as fast as it can."""
    async with open_resources(environment.settings) as resources:
        await fill(
            resources.database,
            chunks=10_000,
            model=resources.embedder.model_name,
            dimensions=resources.embedder.dimensions,
        )
    limits = httpx2.Limits(max_connections=None)
    async with (
        environment.upstream() as upstream_url,
        environment.server(OPENAI_BASE_URL=upstream_url, OPENAI_MODELS="bench") as url,
        httpx2.AsyncClient(base_url=url, limits=limits, timeout=60, trust_env=False) as client,
    ):
        # The first requests open connections on both sides.
        await asyncio.gather(*(_read(client) for _ in range(STREAMS)))
        await client.get("/longest-block")
        started = time.perf_counter()
        whole = sum(await asyncio.gather(*(_read(client) for _ in range(STREAMS))))
        seconds = time.perf_counter() - started
        blocked = (await client.get("/longest-block")).json()
    return [
        Result(
            "whole streams of 200 at once",
            whole,
            at_least=STREAMS,
            parts=f"{STREAMS / seconds:.0f} streams/s",
        ),
        Result("longest time the loop was blocked", blocked * 1000, "ms", at_most=50),
    ]


async def _read(client: httpx2.AsyncClient) -> bool:
    """Read a stream; tell whether it arrived whole and in order."""
    async with client.stream("POST", "/v1/qa-stream", json={"message": QUESTION}) as response:
        text = (await response.aread()).decode()
    blocks = [block.split("\n", 1) for block in text.removesuffix("\n\n").split("\n\n")]
    names = [name.removeprefix("event: ") for name, _ in blocks]
    contents = [
        json.loads(data.removeprefix("data: "))["content"]
        for name, data in blocks
        if name == "event: message"
    ]
    times = [int(content) for content in contents if content.strip()]
    return (
        names == ["sources", *["message"] * (PIECES + 1), "citations", "done"]
        and len(times) == PIECES
        and times == sorted(times)
    )
