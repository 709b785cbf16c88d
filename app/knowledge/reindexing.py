"""Another embedding model for the whole knowledge base, while everything goes on with the old one.

The vectors of the new model are stored beside those of the old, batch by batch. When no text lacks
one, a single transaction makes the new model the knowledge base's. What is embedded stays, whatever
ends this in between; so whoever begins again goes on. Two that do so at once only work twice.
"""

from typing import TYPE_CHECKING

from app.core.database import Database, Queries
from app.core.exceptions import Conflict
from app.knowledge.document_store import vector_rows
from app.knowledge.index_model import find_model_name
from app.knowledge.index_source import read_spec
from app.knowledge.missing_vectors import count_chunks_without_vector, embed_missing
from app.knowledge.vector_index import IndexSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.knowledge.embedding import Embedder

__all__ = ["begin_reindex", "reindex"]


def begin_reindex(queries: Queries, model: str) -> str | None:
    """Note that everything is to be embedded with `model`; return the model that there is.

    That is None for an empty knowledge base, which takes any. If it is `model` itself, there is
    nothing to do, and a reindex that was begun with another one is given up.
    """
    queries.own_embeddings()
    queries.begin_reindex(model=model)
    return find_model_name(queries)


async def reindex(
    database: Database, embedder: "Embedder", progress: "Callable[[int, int], None]"
) -> None:
    """Embed everything that has no vector of this model, and switch; call `begin_reindex` before.

    `progress` hears how many texts have one, and how many there are.

    Raises:
        Conflict: another reindex was begun meanwhile, or some texts can't be embedded.
        DatabaseUnavailable: it can be begun again.
    """
    spec = await database.run(read_spec, embedder.model_name, embedder.dimensions)
    while not await database.run(_switch, spec):
        counts = await database.run(lambda queries: queries.count_texts(model=spec.model))
        before, done = counts["embedded"], counts["embedded"]
        progress(done, counts["texts"])
        async for vectors in embed_missing(database, spec, embedder):
            await database.run(_store, spec, vectors)
            done += len(vectors)
            # Documents that are stored meanwhile make more of them.
            progress(done, max(done, counts["texts"]))
        if done == before and not await database.run(_switch, spec):
            raise Conflict(
                "Some passages are not what they were when they were stored, so they can't be "
                "embedded. Run `python -m app doctor --repair`, ingest their sources, and reindex "
                "again."
            )


def _store(queries: Queries, spec: IndexSpec, vectors: dict[str, bytes]) -> None:
    queries.share_embeddings()
    _require_still_wanted(queries, spec)
    queries.replace_embeddings(model=spec.model, embeddings=vector_rows(sorted(vectors.items())))


def _switch(queries: Queries, spec: IndexSpec) -> bool:
    """Switch if nothing is missing; return whether the knowledge base has the model now."""
    # From here to the end nobody stores a document.
    queries.own_embeddings()
    if find_model_name(queries) == spec.model:
        return True
    _require_still_wanted(queries, spec)
    if count_chunks_without_vector(queries, spec):
        return False
    queries.switch_model(model=spec.model, dimensions=spec.dimensions)
    return True


def _require_still_wanted(queries: Queries, spec: IndexSpec) -> None:
    row = queries.find_model()
    # Of two that reindex at once, the other one may have switched.
    if row is None or spec.model not in (row["next_model"], row["model"]):
        raise Conflict(
            f"The reindex with {spec.model} was given up: somebody has run `python -m app reindex` "
            "with another EMBEDDING_MODEL."
        )
