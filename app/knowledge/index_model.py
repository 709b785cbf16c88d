"""The one embedding model of a knowledge base: vectors of two models are never mixed."""

from app.core.database import Queries
from app.core.exceptions import StartupError

__all__ = ["register_model", "require_model_of_index"]


def register_model(queries: Queries, model: str, dimensions: int) -> None:
    """Make `model` the knowledge base's model if it has none yet.

    Raises:
        StartupError: it has another one.
    """
    queries.register_model(model=model, dimensions=dimensions)
    require_model_of_index(queries, model)


def require_model_of_index(queries: Queries, model: str) -> None:
    """Check `model` before anything is answered with it; an empty knowledge base takes any.

    Raises:
        StartupError: the knowledge base was embedded with another model.
    """
    row = queries.find_model()
    if row is not None and (registered := row["model"]) != model:
        raise StartupError(
            f"The knowledge base was embedded with {registered}, but EMBEDDING_MODEL is "
            f"{model}. Set EMBEDDING_MODEL={registered}, or use an empty database "
            "(another DATABASE_URL or VAR_DIR) and ingest again."
        )
