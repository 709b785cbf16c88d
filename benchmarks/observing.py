"""What metrics and traces add to an answer: processor time with and without, in one process."""

import asyncio
import os
import socket
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any
from unittest import mock

import httpx2
import uvicorn
from prometheus_client import Counter, Gauge, Histogram

from app.core import stages, tracing
from app.main import create_app
from app.resources.service import open_resources
from benchmarks.answers import QUESTION
from benchmarks.environment import Environment, free_port
from benchmarks.knowledge import fill
from benchmarks.result import Result
from settings import Settings

__all__ = ["observing"]

CHUNKS = 1_000
ROUNDS = 12
CALLS = 20
# At most so much more processor time for an answer.
TARGET = 1.02


async def observing(environment: Environment) -> list[Result]:
    """Measure `qa-create` in turns: without either, with metrics, with metrics and traces."""
    settings = environment.settings
    async with open_resources(settings) as resources:
        embedder = resources.embedder
        await fill(
            resources.database,
            chunks=CHUNKS,
            model=embedder.model_name,
            dimensions=embedder.dimensions,
        )
    took: dict[str, list[float]] = {"bare": [], "metrics": [], "traces": []}
    async with (
        _served(settings) as url,
        httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as client,
    ):
        await _ask(client)
        for _ in range(ROUNDS):
            ways = {"bare": _nothing(), "metrics": _untouched(), "traces": _traced()}
            for name, way in ways.items():
                with way:
                    took[name].append(await _ask(client))
    bare, measured, traced = (statistics.median(times) for times in took.values())
    parts = f"processor time of an answer: {bare:.2f} ms bare, {measured:.2f} ms with metrics"
    return [
        Result("metrics / none", measured / bare, at_most=TARGET, parts=parts),
        Result("metrics and traces / none", traced / bare, parts=f"{traced:.2f} ms"),
    ]


async def _ask(client: httpx2.AsyncClient) -> float:
    """Ask; return the processor time of one answer, the client's included, in milliseconds."""
    began = time.process_time()
    for _ in range(CALLS):
        response = await client.post("/v1/qa-create", json={"message": QUESTION})
        response.raise_for_status()
    return (time.process_time() - began) * 1000 / CALLS


@contextmanager
def _untouched() -> Iterator[None]:
    yield


@contextmanager
def _nothing() -> Iterator[None]:
    """Count, measure and tell nothing."""

    def labels(metric: Any, *_: Any) -> Any:
        return metric

    def nothing(*_: Any) -> None:
        pass

    methods = ((Counter, "inc"), (Gauge, "inc"), (Gauge, "dec"), (Gauge, "set"))
    with ExitStack() as stack:
        for metric, name in (*methods, (Histogram, "observe")):
            stack.enter_context(mock.patch.object(metric, name, nothing))
        for metric in (Counter, Gauge, Histogram):
            stack.enter_context(mock.patch.object(metric, "labels", labels))
        stack.enter_context(mock.patch.object(stages, "_listeners", []))
        yield


@contextmanager
def _traced() -> Iterator[None]:
    """Trace, to a receiver that is not there."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    with mock.patch.dict(os.environ, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint):
        tracing.configure_tracing()
    try:
        yield
    finally:
        tracing.shut_down_tracing()


@asynccontextmanager
async def _served(settings: Settings) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 -- it has no event
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
