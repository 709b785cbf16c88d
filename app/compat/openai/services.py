"""What the routes for OpenAI's clients call."""

from dataclasses import dataclass

from app.compat.openai.answering import Answering
from app.compat.openai.catalogue import Catalogue
from app.compat.openai.embedding import Embeddings
from app.compat.openai.passthrough import Passthrough

__all__ = ["OpenAIServices"]


@dataclass(frozen=True, slots=True)
class OpenAIServices:
    """Models by name, answers from the documents and from elsewhere, embeddings."""

    catalogue: Catalogue
    answering: Answering
    passthrough: Passthrough
    embeddings: Embeddings
