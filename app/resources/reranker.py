"""The reranking model that an installation has prepared, if it is to have one."""

from app.knowledge.model_files import require_model
from app.knowledge.model_sources import RERANKING
from app.knowledge.reranking import Reranker
from settings import Settings

__all__ = ["load_reranker"]


def load_reranker(settings: Settings) -> Reranker | None:
    """Load the reranking model that an installation has prepared; blocks.

    Returns None when RERANKER_MODEL is not set. Raises StartupError when it is not prepared.
    """
    if (name := settings.reranker_model) is None:
        return None
    return Reranker.load(name, require_model(name, settings.models_dir, kind=RERANKING))
