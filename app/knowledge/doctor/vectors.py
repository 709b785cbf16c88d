"""Whether every chunk has a vector of the right model, and every vector a chunk."""

import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from anyio import to_thread

from app.core.database import Database, Queries
from app.knowledge.doctor.findings import Examination, Finding, Severity, Stage
from app.knowledge.document_store import prune_embeddings, vector_rows
from app.knowledge.index_model import register_model
from app.knowledge.missing_vectors import count_chunks_without_vector, embed_missing
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
    lacking = await database.run(count_chunks_without_vector, spec)
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
    found.findings += await database.run(_examine_reindex, spec.model)
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
    done = 0
    async for vectors in embed_missing(database, spec, embedder):
        done += await database.run(_store, spec, vectors)
        stage("embedding", done, max(done, chunks))


def _store(queries: Queries, spec: IndexSpec, vectors: dict[str, bytes]) -> int:
    """Store vectors and have the indexes look at their chunks; return how many chunks that are."""
    queries.share_embeddings()
    register_model(queries, spec.model, spec.dimensions)
    queries.replace_embeddings(model=spec.model, embeddings=vector_rows(sorted(vectors.items())))
    chunks: int = queries.queue_chunks_of_texts(content_hashes=json.dumps(list(vectors)))
    return chunks


def _examine_reindex(queries: Queries, model: str) -> list[Finding]:
    row = queries.find_model()
    if row is None or (next_model := row["next_model"]) is None:
        return []
    counts = queries.count_texts(model=next_model)
    return [
        Finding(
            Severity.NOTE,
            f"{counts['embedded']:,} of {counts['texts']:,} texts are embedded with {next_model}: "
            f"a reindex is under way or was interrupted. `EMBEDDING_MODEL={next_model} python -m "
            f"app reindex` goes on with it, `EMBEDDING_MODEL={model} python -m app reindex` gives "
            "it up.",
        )
    ]
