"""An answer's own time, against the sum of the parts that it can't do without."""

import asyncio
import http.client
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping

import httpx2
from openai import AsyncOpenAI

from app.accounts.models import LOCAL_ACCOUNT
from app.core.database import Queries
from app.knowledge.passages import load_candidates
from app.knowledge.ranking import fuse
from app.knowledge.retrieval import CANDIDATES, LEG_LIMIT
from app.knowledge.sparse import SparseEncoder
from app.resources.service import Resources, open_resources
from benchmarks.environment import Environment, milliseconds
from benchmarks.knowledge import fill, sentence
from benchmarks.result import Result

__all__ = ["QUESTION", "answers"]

CHUNKS = 10_000
CALLS = 300
READING = "reading 50 passages"
# Both processes replace their new replicas by optimised ones, in the background.
SETTLE_SEC = 40
# What a chunk says word for word: its vector is random, and something relevant must be found.
QUESTION = sentence(random.Random(2))


async def answers(environment: Environment) -> list[Result]:
    """Measure `qa-create` and its parts in turns, on 10,000 chunks."""
    settings = environment.settings
    async with (
        environment.upstream() as upstream_url,
        open_resources(settings) as resources,
    ):
        embedder = resources.embedder
        await fill(
            resources.database,
            chunks=CHUNKS,
            model=embedder.model_name,
            dimensions=embedder.dimensions,
        )
        await resources.follower.caught_up()
        async with (
            environment.server(OPENAI_BASE_URL=upstream_url, OPENAI_MODELS="bench") as url,
            httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as client,
            AsyncOpenAI(base_url=upstream_url, api_key="none") as openai,
        ):
            # A plain socket's worth of client: what httpx2 takes, a millisecond of processor time,
            # is not the service's own time.
            service = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
            return await _measure(resources, service, client, openai)


async def _measure(
    resources: Resources,
    service: http.client.HTTPConnection,
    client: httpx2.AsyncClient,
    openai: AsyncOpenAI,
) -> list[Result]:
    dense = resources.embedder.embed([QUESTION])[0].tolist()
    sparse = SparseEncoder().encode_query(QUESTION)
    index, database = resources.index, resources.database
    body = json.dumps({"message": QUESTION})

    async def ask() -> None:
        service.request("POST", "/v1/qa-create", body, {"Content-Type": "application/json"})
        answer = service.getresponse().read()
        assert json.loads(answer)["sources"], answer

    async def embed() -> None:
        resources.embedder.embed([QUESTION])

    async def search() -> None:
        await index.search(dense, sparse, limit=LEG_LIMIT)

    ranked = fuse(await index.search(dense, sparse, limit=LEG_LIMIT))[:CANDIDATES]
    embedder = resources.embedder

    async def read() -> None:
        await database.run_statement(
            load_candidates, LOCAL_ACCOUNT, ranked, embedder.model_name, embedder.dimensions
        )

    async def generate() -> None:
        messages = [{"role": "user", "content": QUESTION}]
        await openai.chat.completions.create(model="bench", messages=messages)  # type: ignore[arg-type]

    async def insert() -> None:
        database.run_sync(_insert)

    calls = {
        "qa-create": ask,
        "embedding": embed,
        "search": search,
        READING: read,
        "openai client": generate,
        "insert": insert,
    }
    await ask()
    await asyncio.sleep(SETTLE_SEC)
    # The server has closed the idle connection; the next request opens another.
    service.close()
    # A part in a loop of its own finds every cache warm, which no answer does; in turns, the
    # others keep the processors awake, which a lone caller doesn't. So both are told.
    in_turns = await _times(calls, rounds=CALLS, in_a_row=1)
    in_loops = await _times(calls, rounds=3, in_a_row=CALLS // 3)
    return [
        *_ratios("called in turns", in_turns),
        *_ratios("each in a loop of its own", in_loops),
        Result(
            "first message event after the upstream's first token",
            await _first_message(client),
            "ms",
            at_most=15,
        ),
    ]


async def _times(
    calls: Mapping[str, Callable[[], Awaitable[None]]], *, rounds: int, in_a_row: int
) -> dict[str, float]:
    """Return the median of each call in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            for _ in range(in_a_row):
                started = time.perf_counter()
                await call()
                times[name].append(time.perf_counter() - started)
    return {name: milliseconds(seconds) for name, seconds in times.items()}


def _ratios(how: str, medians: dict[str, float]) -> list[Result]:
    """Compare the whole with its parts, and with these and the reading of the passages."""
    own = medians.pop("qa-create")
    medians["insert"] *= 2
    reading = medians.pop(READING)
    total = sum(medians.values())
    detail = ", ".join(f"{name} {value:.2f}" for name, value in medians.items())
    return [
        Result(
            f"qa-create / its unavoidable parts, {how}",
            own / total,
            at_most=1.5,
            parts=f"{own:.2f} ms / {total:.2f} ms ({detail}; two inserts)",
        ),
        Result(
            f"the same with {READING} among the parts",
            own / (total + reading),
            at_most=1.5,
            parts=f"{own:.2f} ms / {total + reading:.2f} ms ({READING} {reading:.2f})",
        ),
    ]


async def _first_message(client: httpx2.AsyncClient) -> float:
    times = []
    for _ in range(50):
        async with client.stream("POST", "/v1/qa-stream", json={"message": QUESTION}) as response:
            async for line in response.aiter_lines():
                if line.startswith('data: {"id"'):
                    sent = int(json.loads(line.removeprefix("data: "))["content"])
                    times.append((time.perf_counter_ns() - sent) / 1e9)
                    break
    return milliseconds(times)


def _insert(queries: Queries) -> None:
    queries.insert_question(account_id=LOCAL_ACCOUNT, model="bench", message=QUESTION)
