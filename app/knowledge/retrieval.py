"""From a question to the passages that may answer it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from app.core.database import Database, Queries
from app.knowledge.embedding import Embedder
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import Hit, VectorIndex

__all__ = ["RetrievedPassage", "Retriever"]

# The index may lag behind PostgreSQL: what was deleted since is dropped, so ask for more.
OVERSAMPLING = 2


@dataclass(frozen=True, slots=True)
class RetrievedPassage:
    """A chunk that was found, with its place in its document; best score first."""

    chunk_id: UUID
    document_id: UUID
    path: str
    title: str
    heading_path: tuple[str, ...]
    start: int
    end: int
    text: str
    score: float


@dataclass(slots=True, eq=False)
class _Model:
    """A model with an index of its vectors, and how many searches use them just now."""

    embedder: Embedder
    index: VectorIndex
    searches: int = 0
    unused: asyncio.Event = field(default_factory=asyncio.Event)


class Retriever:
    """Hybrid search: dense and BM25, fused inside Qdrant, texts from PostgreSQL."""

    def __init__(
        self,
        database: Database,
        index: VectorIndex,
        embedder: Embedder,
        sparse: SparseEncoder,
    ) -> None:
        self._database = database
        self._model = _Model(embedder, index)
        self._sparse = sparse

    async def replace(self, embedder: Embedder, index: VectorIndex) -> None:
        """Search with another model from now on; return when no search with the old one runs."""
        old, self._model = self._model, _Model(embedder, index)
        if old.searches:
            old.unused.clear()
            await old.unused.wait()

    async def search(self, query: str, *, limit: int) -> list[RetrievedPassage]:
        """Return at most `limit` passages, best first; none from an empty knowledge base.

        Raises:
            IndexUnavailable, DatabaseUnavailable: a part can't be reached.
        """
        hits = await self._find(query, limit=limit * OVERSAMPLING)
        if not hits:
            return []
        passages = await self._database.run_statement(_load_passages, hits)
        return passages[:limit]

    async def _find(self, query: str, *, limit: int) -> list[Hit]:
        # One model from the beginning to the end, whatever replaces it meanwhile.
        model = self._model
        model.searches += 1
        try:
            dense = await model.embedder.embed_query(query)
            return await model.index.search(
                dense.tolist(), self._sparse.encode_query(query), limit=limit
            )
        finally:
            model.searches -= 1
            if not model.searches:
                model.unused.set()


def _load_passages(queries: Queries, hits: Sequence[Hit]) -> list[RetrievedPassage]:
    ids = ",".join(str(hit.chunk_id) for hit in hits)
    rows = {row["id"]: row for row in queries.find_chunks(ids=f"{{{ids}}}")}
    return [
        RetrievedPassage(
            chunk_id=hit.chunk_id,
            document_id=row["document_id"],
            path=row["path"],
            title=row["title"],
            heading_path=tuple(row["heading_path"]),
            start=row["start_offset"],
            end=row["end_offset"],
            text=row["text"],
            score=hit.score,
        )
        for hit in hits
        if (row := rows.get(hit.chunk_id)) is not None
    ]
