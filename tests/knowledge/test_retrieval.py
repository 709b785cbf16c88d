"""A query becomes passages: ranked by the index, their texts from PostgreSQL."""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast
from uuid import UUID, uuid4

import pytest

from app.core.database import Database
from app.core.exceptions import DatabaseUnavailable
from app.knowledge.embedding import Embedder
from app.knowledge.retrieval import Retriever
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import Hit, SparseVector, VectorIndex
from tests.conftest import Ingest
from tests.support import execute, fetch

FILES = {f"{n}.md": f"# Part {n}\n\nWhat part {n} says.\n" for n in range(6)}

OpenRetriever = Callable[[Sequence[UUID]], Retriever]


class RankedIndex:
    """An index whose ranking the test decides: a real one can't be made to lag on purpose."""

    def __init__(self, chunk_ids: Sequence[UUID]) -> None:
        self.hits = [Hit(chunk_id, 1 / rank) for rank, chunk_id in enumerate(chunk_ids, 1)]

    async def search(
        self, dense: Sequence[float], sparse: SparseVector, *, limit: int
    ) -> list[Hit]:
        """Rank the same for every query."""
        assert len(dense) == 384
        assert sparse.indices
        return self.hits[:limit]


class HeldIndex(RankedIndex):
    """An index that answers when the test says so."""

    def __init__(self, chunk_ids: Sequence[UUID]) -> None:
        super().__init__(chunk_ids)
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def search(
        self, dense: Sequence[float], sparse: SparseVector, *, limit: int
    ) -> list[Hit]:
        """Wait, and rank."""
        self.reached.set()
        await self.go_on.wait()
        return await super().search(dense, sparse, limit=limit)


@pytest.fixture
def open_retriever(database: Database, embedder: Embedder) -> OpenRetriever:
    """A retriever over an index that ranks chunks in the given order."""

    def open_retriever(chunk_ids: Sequence[UUID]) -> Retriever:
        index = cast("VectorIndex", RankedIndex(chunk_ids))
        return Retriever(database, index, embedder, SparseEncoder())

    return open_retriever


def stored_chunks(url: str) -> list[UUID]:
    """Every chunk, by its document's path."""
    rows = fetch(
        url,
        "SELECT CAST(chunk.id AS text) FROM chunk"
        " JOIN document ON document.id = document_id ORDER BY path",
    )
    return [UUID(row[0]) for row in rows]


async def test_passages_come_in_the_order_of_the_index_with_all_that_an_answer_cites(
    ingest: Ingest, database_url: str, open_retriever: OpenRetriever
) -> None:
    await ingest(FILES)
    ranked = stored_chunks(database_url)[::-1]

    passages = await open_retriever(ranked).search("part", limit=6)

    assert [passage.chunk_id for passage in passages] == ranked
    assert [passage.score for passage in passages] == [1 / rank for rank in range(1, 7)]
    best = passages[0]
    assert (best.path, best.title, best.heading_path) == ("5.md", "Part 5", ("Part 5",))
    assert best.text == FILES["5.md"][best.start : best.end]
    [(document_id,)] = fetch(
        database_url, "SELECT CAST(id AS text) FROM document WHERE path = '5.md'"
    )
    assert str(best.document_id) == document_id


async def test_no_more_passages_than_asked_for(
    ingest: Ingest, database_url: str, open_retriever: OpenRetriever
) -> None:
    await ingest(FILES)
    ranked = stored_chunks(database_url)

    passages = await open_retriever(ranked).search("part", limit=2)

    assert [passage.chunk_id for passage in passages] == ranked[:2]


async def test_what_is_deleted_is_not_found_however_far_the_index_lags(
    ingest: Ingest, database_url: str, open_retriever: OpenRetriever
) -> None:
    await ingest(FILES)
    ranked = stored_chunks(database_url)
    execute(database_url, "DELETE FROM document WHERE path IN ('0.md', '2.md')")

    passages = await open_retriever([uuid4(), *ranked]).search("part", limit=3)

    # Others take the places of those that are gone.
    assert [passage.path for passage in passages] == ["1.md", "3.md", "4.md"]


async def test_an_empty_knowledge_base_has_no_passages(open_retriever: OpenRetriever) -> None:
    assert await open_retriever([]).search("part", limit=5) == []


async def test_a_database_that_is_gone_is_an_error_that_says_so(
    ingest: Ingest, database_url: str, embedder: Embedder, unused_url: str
) -> None:
    await ingest(FILES)
    address = unused_url.removeprefix("http://").removesuffix("/v1")
    database = Database(f"postgres://brag@{address}/brag", pool_size=1)
    index = cast("VectorIndex", RankedIndex(stored_chunks(database_url)))
    retriever = Retriever(database, index, embedder, SparseEncoder())

    with pytest.raises(DatabaseUnavailable):
        await retriever.search("part", limit=5)


async def test_a_search_ends_with_the_model_it_began_with_and_the_replacement_waits_for_it(
    ingest: Ingest, database: Database, embedder: Embedder
) -> None:
    await ingest(FILES)
    chunks = stored_chunks(database.url)
    old, new = HeldIndex(chunks[:1]), RankedIndex(chunks[1:2])
    retriever = Retriever(database, cast("VectorIndex", old), embedder, SparseEncoder())
    searching = asyncio.create_task(retriever.search("part", limit=1))
    await old.reached.wait()

    replacing = asyncio.create_task(retriever.replace(embedder, cast("VectorIndex", new)))
    await asyncio.sleep(0)  # it begins
    [found_meanwhile] = await retriever.search("part", limit=1)
    waited = not replacing.done()
    old.go_on.set()
    [found] = await searching
    await replacing

    assert waited
    assert (found.chunk_id, found_meanwhile.chunk_id) == (chunks[0], chunks[1])
