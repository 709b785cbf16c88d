"""What fusing two searches costs, beside running them one after the other."""

import time
from collections.abc import Awaitable, Callable, Mapping
from uuid import uuid4

import numpy as np

from app.accounts.models import LOCAL
from app.knowledge.ranking import diversify, fuse
from app.knowledge.retrieval import CANDIDATES, LEG_LIMIT, SearchMode
from app.knowledge.sparse import SparseEncoder
from app.resources.service import Resources, open_resources
from benchmarks.environment import Environment, milliseconds
from benchmarks.knowledge import fill
from benchmarks.result import Result

__all__ = ["search"]

CHUNKS = 10_000
CALLS = 300
TOP_K = 5
QUESTION = "how does the katanes molomaring work with tellos and sunverly"


async def search(environment: Environment) -> list[Result]:
    """Measure a hybrid search and its legs in turns, on 10,000 chunks."""
    async with open_resources(environment.settings) as resources:
        embedder = resources.embedder
        await fill(
            resources.database,
            chunks=CHUNKS,
            model=embedder.model_name,
            dimensions=embedder.dimensions,
        )
        await resources.follower.caught_up()
        return [await _in_the_index(resources), await _as_a_whole(resources)]


async def _in_the_index(resources: Resources) -> Result:
    index = resources.index
    dense = resources.embedder.embed([QUESTION])[0].tolist()
    sparse = SparseEncoder().encode_query(QUESTION)
    random = np.random.default_rng(1)
    vectors = random.standard_normal((CANDIDATES, len(dense))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    documents = [uuid4() for _ in range(CANDIDATES)]

    async def hybrid() -> None:
        ranked = fuse(await index.search(dense, sparse, limit=LEG_LIMIT))[:CANDIDATES]
        diversify(ranked, vectors, documents, limit=TOP_K)

    async def dense_leg() -> None:
        await index.search(dense, None, limit=LEG_LIMIT)

    async def bm25_leg() -> None:
        await index.search(None, sparse, limit=LEG_LIMIT)

    medians = await _medians({"hybrid": hybrid, "dense": dense_leg, "bm25": bm25_leg})
    return _ratio("in the index, fusion and choice included", medians)


async def _as_a_whole(resources: Resources) -> Result:
    def in_mode(mode: SearchMode) -> Callable[[], Awaitable[None]]:
        async def call() -> None:
            await resources.retriever.search(QUESTION, caller=LOCAL, limit=TOP_K, mode=mode)

        return call

    medians = await _medians({mode.value: in_mode(mode) for mode in SearchMode})
    return _ratio("from the question to the passages", medians)


async def _medians(calls: Mapping[str, Callable[[], Awaitable[None]]]) -> dict[str, float]:
    """Return the median of each call in milliseconds, called in turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(CALLS):
        for name, call in calls.items():
            began = time.perf_counter()
            await call()
            times[name].append(time.perf_counter() - began)
    return {name: milliseconds(seconds) for name, seconds in times.items()}


def _ratio(what: str, medians: dict[str, float]) -> Result:
    legs = medians["dense"] + medians["bm25"]
    return Result(
        f"hybrid search / its two legs one after the other, {what}",
        medians["hybrid"] / legs,
        at_most=1.3,
        parts=f"{medians['hybrid']:.2f} ms / {legs:.2f} ms",
    )
