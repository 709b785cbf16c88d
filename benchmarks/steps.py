"""Steps for a worker without a model: they do nothing, or everything but the embedding."""

from collections.abc import Sequence

import numpy as np

from app.core.database import Database
from app.knowledge.connectors.access import Access
from app.knowledge.embedding import Vector
from app.knowledge.ingestions.steps import Steps
from app.knowledge.parsing.sandbox import Parser
from settings import Settings

__all__ = ["NoSteps", "open_unembedding_steps"]

DIMENSIONS = 384


class NoSteps:
    """Steps that have nothing to do."""

    def list_source(self, ingestion_id: str) -> None:
        """List nothing."""

    def fetch_document(self, ingestion_id: str, path: str) -> bool:  # noqa: ARG002 -- as all steps
        """Fetch nothing, and have it stored."""
        return True

    def store_document(self, ingestion_id: str, path: str) -> None:
        """Store nothing."""

    def note_failure(
        self, ingestion_id: str, path: str | None, message: str, *, final: bool
    ) -> None:
        """Note nothing."""

    def schedule(self) -> None:
        """Begin nothing."""

    def clean(self) -> None:
        """Do nothing."""

    def prune(self) -> None:
        """Remove nothing."""


class _NoTokens:
    """A model's tokenizer to which every text is short enough."""

    max_tokens = 256

    def count(self, texts: Sequence[str]) -> list[int]:
        return [1] * len(texts)


class _NoEmbedder:
    """A model with one vector for all texts."""

    dimensions = DIMENSIONS
    tokens = _NoTokens()

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name

    def embed(self, texts: Sequence[str]) -> Vector:
        return np.full((len(texts), DIMENSIONS), DIMENSIONS**-0.5, dtype=np.float32)


def open_unembedding_steps(settings: Settings, database_url: str) -> Steps:
    """Open the steps of one process, with a model that takes no time."""
    return Steps(
        Database(database_url, pool_size=1),
        Access(settings),
        Parser(),
        _NoEmbedder,  # type: ignore[arg-type] # it has all that steps need
        settings,
    )
