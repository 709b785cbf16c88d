"""Vectors for all texts that have none of a model, in batches."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from app.core.database import Database, Queries
from app.knowledge.document_store import BATCH_SIZE, to_bytes
from app.knowledge.index_source import vector_bytes
from app.knowledge.models import chunk_hash, embedded_text
from app.knowledge.vector_index import IndexSpec

if TYPE_CHECKING:
    from app.knowledge.embedding import Embedder

__all__ = ["count_chunks_without_vector", "embed_missing"]


def count_chunks_without_vector(queries: Queries, spec: IndexSpec) -> int:
    """Count the chunks that can't be found with the model of `spec`."""
    count: int = queries.count_chunks_without_vector(
        model=spec.model, vector_bytes=vector_bytes(spec)
    )
    return count


async def embed_missing(
    database: Database, spec: IndexSpec, embedder: "Embedder"
) -> AsyncIterator[dict[str, bytes]]:
    """Go once through all texts without usable vectors; yield these by hash, to be stored."""
    after = ""
    while rows := await database.run(_find_texts, spec, after):
        after = rows[-1]["content_hash"]
        texts = {
            row["content_hash"]: embedded_text(row["heading_path"], row["text"])
            for row in rows
            # A vector under a wrong hash would be used for other chunks too.
            if row["content_hash"] == chunk_hash(row["heading_path"], row["text"])
        }
        matrix = await to_thread.run_sync(embedder.embed, list(texts.values()))
        yield dict(zip(texts, map(to_bytes, matrix), strict=True))


def _find_texts(queries: Queries, spec: IndexSpec, after: str) -> list[dict[str, Any]]:
    return list(
        queries.texts_without_vector(
            model=spec.model, vector_bytes=vector_bytes(spec), after=after, limit=BATCH_SIZE
        )
    )
