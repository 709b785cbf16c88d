"""Runs over sources, through the API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx2

from benchmarks.environment import Environment

__all__ = ["Run", "begin", "end_of", "seconds_of", "serving", "sync"]

TIMEOUT_SEC = 1800
POLL_SEC = 0.1

Run = dict[str, Any]


@asynccontextmanager
async def serving(environment: Environment) -> AsyncIterator[httpx2.AsyncClient]:
    """Run bRAG with its worker, for sources below the environment's folder; yield a client."""
    async with (
        environment.server(INGEST_ROOTS=str(environment.folder)) as url,
        httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as client,
    ):
        async with asyncio.timeout(TIMEOUT_SEC):
            await _works(client)
        yield client


async def begin(client: httpx2.AsyncClient, config: dict[str, str]) -> Run:
    """Create a source; return its first run, which has just begun."""
    run: Run = (await _json(client, "POST", "/v1/sources", json={"config": config}))["ingestion"]
    return run


async def sync(client: httpx2.AsyncClient, source_id: str) -> Run:
    """Begin another run over a source, and return it when it has ended."""
    return await end_of(client, await _json(client, "POST", f"/v1/sources/{source_id}/sync"))


async def end_of(client: httpx2.AsyncClient, run: Run) -> Run:
    """Return a run when it has ended, and ended well."""
    async with asyncio.timeout(TIMEOUT_SEC):
        while run["finished_at"] is None:
            await asyncio.sleep(POLL_SEC)
            run = await _json(client, "GET", f"/v1/ingestions/{run['id']}")
    assert run["state"] == "succeeded", run
    return run


def seconds_of(run: Run) -> float:
    """Return how long a run took, from the request on."""
    begin, end = (datetime.fromisoformat(run[name]) for name in ("created_at", "finished_at"))
    return (end - begin).total_seconds()


async def _works(client: httpx2.AsyncClient) -> None:
    while True:
        parts = (await client.get("/readiness")).json()["parts"]
        if parts["worker"]["status"] == "ok":
            return
        await asyncio.sleep(POLL_SEC)


async def _json(client: httpx2.AsyncClient, method: str, path: str, **options: Any) -> Any:
    response = await client.request(method, path, **options)
    assert response.is_success, response.text
    return response.json()
