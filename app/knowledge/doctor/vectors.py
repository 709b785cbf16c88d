"""Whether every chunk has a vector of the right model, and every vector a chunk."""

import base64
import functools
import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from app.core.database import Database, Queries
from app.knowledge.doctor.findings import Examination, Finding, Severity, Stage
from app.knowledge.document_store import BATCH_SIZE, prune_embeddings, to_bytes
from app.knowledge.index_model import register_model
from app.knowledge.index_source import vector_bytes
from app.knowledge.models import embedded_text
from app.knowledge.vector_index import IndexSpec

if TYPE_CHECKING:
    from app.knowledge.embedding import Embedder

__all__ = ["examine_vectors"]


async def examine_vectors(
    database: Database, spec: IndexSpec, load_embedder: "Callable[[], Embedder] | None"
) -> Examination:
    """Look for chunks without a vector and vectors without a chunk.

    `load_embedder` loads the model of `spec`; None: there is no way to.
    """
    found = Examination()
    lacking = await database.run(
        lambda queries: queries.count_chunks_without_vector(
            model=spec.model, vector_bytes=vector_bytes(spec)
        )
    )
    if lacking:
        message = f"{lacking:,} chunks have no usable vector of {spec.model} and can't be found."
        found.findings.append(
            Finding(
                Severity.ERROR,
                message,
                "embed them",
                functools.partial(_embed_all, database, spec, load_embedder, lacking),
            )
            if load_embedder
            else Finding(Severity.ERROR, message)
        )
    if unused := await database.run(lambda queries: queries.count_unused_embeddings()):
        found.findings.append(
            Finding(
                Severity.NOTE,
                f"{unused:,} vectors belong to texts that are no longer there.",
                "remove them",
                functools.partial(_remove_unused, database, unused),
            )
        )
    return found


async def _remove_unused(database: Database, unused: int, stage: Stage) -> None:
    await database.run(prune_embeddings)
    stage("removing vectors", unused, unused)


async def _embed_all(
    database: Database,
    spec: IndexSpec,
    load_embedder: "Callable[[], Embedder]",
    chunks: int,
    stage: Stage,
) -> None:
    embedder = await to_thread.run_sync(load_embedder)
    done, after = 0, ""
    while rows := await database.run(_find_texts, spec, after):
        after = rows[-1]["content_hash"]
        texts = {
            row["content_hash"]: text
            for row in rows
            # A vector under a wrong hash would be used for other chunks too.
            if _hash(text := embedded_text(row["heading_path"], row["text"])) == row["content_hash"]
        }
        matrix = await to_thread.run_sync(embedder.embed, list(texts.values()))
        vectors = dict(zip(texts, map(to_bytes, matrix), strict=True))
        done += await database.run(_store, spec, vectors)
        stage("embedding", done, max(done, chunks))


def _find_texts(queries: Queries, spec: IndexSpec, after: str) -> list[dict[str, Any]]:
    return list(
        queries.texts_without_vector(
            model=spec.model, vector_bytes=vector_bytes(spec), after=after, limit=BATCH_SIZE
        )
    )


def _store(queries: Queries, spec: IndexSpec, vectors: dict[str, bytes]) -> int:
    """Store vectors and have the indexes look at their chunks; return how many chunks that are."""
    register_model(queries, spec.model, spec.dimensions)
    queries.share_embeddings()
    rows = [
        {"content_hash": content_hash, "vector": base64.b64encode(vector).decode()}
        for content_hash, vector in sorted(vectors.items())
    ]
    queries.replace_embeddings(model=spec.model, embeddings=json.dumps(rows))
    chunks: int = queries.queue_chunks_of_texts(content_hashes=json.dumps(list(vectors)))
    return chunks


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
