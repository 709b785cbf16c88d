"""The one embedding model of a knowledge base: vectors of two models are never mixed.

It is what PostgreSQL says. EMBEDDING_MODEL decides for an empty knowledge base; afterwards only a
reindex replaces it (`reindexing.py`), also while processes run that were started with another one.
"""

from app.core.database import Queries
from app.core.exceptions import StartupError
from app.knowledge.exceptions import ModelReplaced

__all__ = [
    "find_model_name",
    "register_model",
    "require_current_model",
    "require_model_of_index",
]


def find_model_name(queries: Queries) -> str | None:
    """Return the knowledge base's model; None while it has none."""
    row = queries.find_model()
    return None if row is None else row["model"]


def register_model(queries: Queries, model: str, dimensions: int) -> None:
    """Make `model` the knowledge base's model if it has none yet; see `require_current_model`."""
    queries.register_model(model=model, dimensions=dimensions)
    require_current_model(queries, model)


def require_current_model(queries: Queries, model: str) -> None:
    """Check that vectors of `model` are what is needed.

    Share the embeddings before: then that stays so until the transaction ends.

    Raises:
        ModelReplaced: the knowledge base has another one.
    """
    if find_model_name(queries) not in (model, None):
        raise ModelReplaced


def require_model_of_index(queries: Queries, model: str) -> None:
    """Check `model` before anything is answered with it; an empty knowledge base takes any.

    Raises:
        StartupError: the knowledge base was embedded with another model.
    """
    registered = find_model_name(queries)
    if registered is not None and registered != model:
        raise StartupError(
            f"The knowledge base was embedded with {registered}, but EMBEDDING_MODEL is {model}. "
            f"Set EMBEDDING_MODEL={registered}, or run `EMBEDDING_MODEL={model} python -m app "
            f"reindex` to embed everything with {model}."
        )
