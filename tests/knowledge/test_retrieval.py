"""A query becomes passages: ranked by the index, their texts from PostgreSQL."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

import pytest

from app.accounts.models import LOCAL, LOCAL_ACCOUNT, Caller, Visibility
from app.core.database import Database
from app.core.exceptions import DatabaseUnavailable
from app.knowledge.embedding import Embedder
from app.knowledge.model_files import require_model
from app.knowledge.model_sources import RERANKING
from app.knowledge.passages import load_candidates, merged_passages
from app.knowledge.ranking import fuse
from app.knowledge.reranking import Reranker
from app.knowledge.retrieval import Retriever, SearchMode
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import (
    EVERYTHING,
    Hit,
    IndexFilter,
    Legs,
    SparseVector,
    VectorIndex,
)
from tests.conftest import Ingest
from tests.knowledge.tiny_reranker import RERANKER, models_with_reranker
from tests.support import execute, fetch

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
FILES = {f"{n}.md": f"# Part {n}\n\nWhat part {n} says.\n" for n in range(6)}

OpenRetriever = Callable[[Sequence[UUID]], Retriever]


class RankedIndex:
    """An index whose ranking the test decides: a real one can't be made to lag on purpose."""

    def __init__(self, chunk_ids: Sequence[UUID]) -> None:
        self.hits = [Hit(chunk_id, 1 / rank) for rank, chunk_id in enumerate(chunk_ids, 1)]
        self.asked: list[str] = []
        self.where = EVERYTHING

    async def search(
        self,
        dense: Sequence[float] | None,
        sparse: SparseVector | None,
        *,
        limit: int,
        where: IndexFilter = EVERYTHING,
    ) -> Legs:
        """Rank the same for every query and filter."""
        self.where = where
        self.asked = [*(["dense"] if dense else []), *(["bm25"] if sparse else [])]
        hits = self.hits[:limit]
        return Legs(hits if dense else [], hits if sparse else [])


class HeldIndex(RankedIndex):
    """An index that answers when the test says so."""

    def __init__(self, chunk_ids: Sequence[UUID]) -> None:
        super().__init__(chunk_ids)
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def search(
        self,
        dense: Sequence[float] | None,
        sparse: SparseVector | None,
        *,
        limit: int,
        where: IndexFilter = EVERYTHING,
    ) -> Legs:
        """Wait, and rank."""
        self.reached.set()
        await self.go_on.wait()
        return await super().search(dense, sparse, limit=limit, where=where)


@pytest.fixture
def open_retriever(database: Database, embedder: Embedder) -> OpenRetriever:
    """A retriever over an index that ranks chunks in the given order."""

    def open_retriever(chunk_ids: Sequence[UUID]) -> Retriever:
        index = cast("VectorIndex", RankedIndex(chunk_ids))
        return Retriever(database, index, embedder, SparseEncoder(), by_reader=False, diverse=False)

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

    found = await open_retriever(ranked).search("part", caller=LOCAL, limit=6)

    assert [passage.chunk_id for passage in found.passages] == ranked
    assert [passage.ranked.dense_rank for passage in found.passages] == [1, 2, 3, 4, 5, 6]
    assert found.passages[1].ranked.sparse_score == 1 / 2
    assert found.model == MODEL
    assert found.timings.keys() == {"embed", "index", "passages", "relevance", "choose"}
    best = found.passages[0]
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

    found = await open_retriever(ranked).search("part", caller=LOCAL, limit=2)

    assert [passage.chunk_id for passage in found.passages] == ranked[:2]


async def test_what_is_deleted_is_not_found_however_far_the_index_lags(
    ingest: Ingest, database_url: str, open_retriever: OpenRetriever
) -> None:
    await ingest(FILES)
    ranked = stored_chunks(database_url)
    execute(database_url, "DELETE FROM document WHERE path IN ('0.md', '2.md')")

    found = await open_retriever([uuid4(), *ranked]).search("part", caller=LOCAL, limit=3)

    # Others take the places of those that are gone.
    assert [passage.path for passage in found.passages] == ["1.md", "3.md", "4.md"]


STRANGER = Caller(UUID(int=7), is_admin=True, scopes=LOCAL.scopes)


@pytest.mark.parametrize("by_reader", [True, False])
async def test_what_is_private_to_another_account_is_not_found_whatever_the_index_says(
    ingest: Ingest, database: Database, embedder: Embedder, by_reader: bool
) -> None:
    await ingest(FILES)
    index = RankedIndex(stored_chunks(database.url))
    retriever = Retriever(
        database, cast("VectorIndex", index), embedder, SparseEncoder(), by_reader=by_reader
    )

    found = {}
    for visibility in (Visibility.PRIVATE, Visibility.SHARED, Visibility.PRIVATE):
        execute(database.url, f"UPDATE source SET visibility = '{visibility}'")
        for caller in (LOCAL, STRANGER):
            result = await retriever.search("part", caller=caller, limit=6)
            found[visibility, caller.account_id] = len(result.passages)

    assert found == {
        (Visibility.PRIVATE, LOCAL.account_id): 6,
        (Visibility.PRIVATE, STRANGER.account_id): 0,
        (Visibility.SHARED, LOCAL.account_id): 6,
        (Visibility.SHARED, STRANGER.account_id): 6,
    }


async def test_the_index_is_asked_for_what_the_caller_may_read_beside_other_filters(
    database: Database, embedder: Embedder
) -> None:
    index = RankedIndex([])
    where = IndexFilter(path_prefixes=("docs",))

    asked = {}
    for by_reader in (True, False):
        retriever = Retriever(
            database, cast("VectorIndex", index), embedder, SparseEncoder(), by_reader=by_reader
        )
        await retriever.search("part", caller=LOCAL, limit=3, where=where)
        asked[by_reader] = index.where

    assert asked[True] == replace(where, readers=(str(LOCAL_ACCOUNT), "shared"))
    # Everything is the one account's: the filter would only cost time.
    assert asked[False] == where


async def test_an_empty_knowledge_base_has_no_passages(open_retriever: OpenRetriever) -> None:
    found = await open_retriever([]).search("part", caller=LOCAL, limit=5)

    assert found.passages == []
    assert not found.relevant


async def test_each_mode_asks_its_own_search(
    ingest: Ingest, database: Database, embedder: Embedder
) -> None:
    await ingest(FILES)
    index = RankedIndex(stored_chunks(database.url))
    retriever = Retriever(
        database, cast("VectorIndex", index), embedder, SparseEncoder(), by_reader=False
    )

    asked = {}
    for mode in SearchMode:
        await retriever.search("part", caller=LOCAL, limit=3, mode=mode)
        asked[mode.value] = index.asked

    assert asked == {"hybrid": ["dense", "bm25"], "dense": ["dense"], "bm25": ["bm25"]}


async def test_a_reranker_decides_the_order(
    ingest: Ingest, database: Database, embedder: Embedder, tmp_path: Path
) -> None:
    models = models_with_reranker(tmp_path / "models")
    reranker = Reranker.load(RERANKER, require_model(RERANKER, models, kind=RERANKING))
    await ingest(FILES)
    index = cast("VectorIndex", RankedIndex(stored_chunks(database.url)))
    retriever = Retriever(
        database,
        index,
        embedder,
        SparseEncoder(),
        by_reader=False,
        reranker=reranker,
        diverse=False,
    )

    found = await retriever.search("What does part 4 say?", caller=LOCAL, limit=2)

    assert found.passages[0].path == "4.md"
    assert found.passages[0].score > found.passages[1].score
    assert "rerank" in found.timings


LONG = "# Long\n\n" + "\n\n".join(
    f"Paragraph {n} says something about tides. " + "The moon pulls the sea. " * 12
    for n in range(9)
)


async def test_chunks_that_follow_one_another_are_read_as_one_passage(
    ingest: Ingest, database_url: str, open_retriever: OpenRetriever
) -> None:
    await ingest({"long.md": LONG, "other.md": "# Other\n\nSomething else.\n"})
    chunks = [
        UUID(row[0])
        for row in fetch(
            database_url,
            "SELECT CAST(chunk.id AS text) FROM chunk JOIN document ON document.id = document_id"
            " ORDER BY path, ordinal",
        )
    ]
    first, second, *_, other = chunks

    found = await open_retriever([second, other, first]).search("tides", caller=LOCAL, limit=2)

    long, short = found.passages
    assert (long.chunk_id, long.chunk_ids) == (second, (first, second))
    assert long.ranked.dense_rank == 1
    assert long.text == LONG[long.start : long.end]
    assert long.start == 0
    assert short.chunk_ids == (other,)


async def test_a_source_that_is_made_private_meanwhile_is_not_read_any_further(
    ingest: Ingest, database: Database
) -> None:
    await ingest({"long.md": LONG})
    execute(database.url, "UPDATE source SET visibility = 'shared'")
    chunks = [
        UUID(row[0])
        for row in fetch(database.url, "SELECT CAST(id AS text) FROM chunk ORDER BY ordinal")
    ]
    ranked = fuse(await RankedIndex(chunks[:2]).search([1.0], None, limit=2))
    candidates = await database.run(load_candidates, STRANGER.account_id, ranked, MODEL, 384)
    passages = [candidate.passage for candidate in candidates]
    execute(database.url, "UPDATE source SET visibility = 'private'")

    [for_stranger] = await merged_passages(database, STRANGER.account_id, passages, 2)
    [for_owner] = await merged_passages(database, LOCAL_ACCOUNT, passages, 2)

    assert for_stranger.chunk_ids == (chunks[0],)
    assert for_owner.chunk_ids == tuple(chunks[:2])


async def test_a_document_that_is_replaced_meanwhile_is_not_read_across_versions(
    ingest: Ingest, database_url: str, open_retriever: OpenRetriever
) -> None:
    await ingest({"long.md": LONG})
    chunks = [
        UUID(row[0])
        for row in fetch(database_url, "SELECT CAST(id AS text) FROM chunk ORDER BY ordinal")
    ]
    execute(database_url, "UPDATE document SET text = 'Something shorter.'")

    found = await open_retriever(chunks[:2]).search("tides", caller=LOCAL, limit=2)

    [passage] = found.passages
    assert passage.chunk_ids == (chunks[0],)
    assert passage.text in LONG


async def test_a_database_that_is_gone_is_an_error_that_says_so(
    ingest: Ingest, database_url: str, embedder: Embedder, unused_url: str
) -> None:
    await ingest(FILES)
    address = unused_url.removeprefix("http://").removesuffix("/v1")
    database = Database(f"postgres://brag@{address}/brag", pool_size=1)
    index = cast("VectorIndex", RankedIndex(stored_chunks(database_url)))
    retriever = Retriever(database, index, embedder, SparseEncoder(), by_reader=False)

    with pytest.raises(DatabaseUnavailable):
        await retriever.search("part", caller=LOCAL, limit=5)


async def test_a_search_ends_with_the_model_it_began_with_and_the_replacement_waits_for_it(
    ingest: Ingest, database: Database, embedder: Embedder
) -> None:
    await ingest(FILES)
    chunks = stored_chunks(database.url)
    old, new = HeldIndex(chunks[:1]), RankedIndex(chunks[1:2])
    retriever = Retriever(
        database, cast("VectorIndex", old), embedder, SparseEncoder(), by_reader=False
    )
    searching = asyncio.create_task(retriever.search("part", caller=LOCAL, limit=1))
    await old.reached.wait()

    replacing = asyncio.create_task(retriever.replace(embedder, cast("VectorIndex", new)))
    await asyncio.sleep(0)  # it begins
    found_meanwhile = await retriever.search("part", caller=LOCAL, limit=1)
    waited = not replacing.done()
    old.go_on.set()
    found = await searching
    await replacing

    assert waited
    assert [passage.chunk_id for passage in found.passages] == chunks[:1]
    assert [passage.chunk_id for passage in found_meanwhile.passages] == chunks[1:2]
