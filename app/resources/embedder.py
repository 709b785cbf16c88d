"""The embedding model that an installation has prepared."""

from app.knowledge.embedding import Embedder
from app.knowledge.model_files import require_model
from settings import Settings

__all__ = ["load_embedder"]


def load_embedder(settings: Settings) -> Embedder:
    """Load the embedding model that an installation has prepared; blocks."""
    name = settings.embedding_model
    return Embedder.load(name, require_model(name, settings.models_dir))
