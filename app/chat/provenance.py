"""What an answer was made from: kept with it, shown as its trace, used to give it again."""

import hashlib
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from app.accounts.models import Level
from app.chat.constants import MessageStatus
from app.chat.models import Source, SourceText, StoredCitation, TokenUsage, UsedHistory
from app.knowledge.passages import RetrievedPassage
from app.knowledge.retrieval import SearchMode
from app.knowledge.search.models import LegScore, SearchFilters

__all__ = [
    "Provenance",
    "Trace",
    "TracedHistory",
    "TracedPassage",
    "UsedPassage",
    "UsedSettings",
    "Wishes",
    "text_hash",
]


class UsedPassage(BaseModel):
    """A passage that was in the prompt, beside what its `Source` says."""

    number: int = Field(examples=[1])
    chunk_ids: list[UUID]
    content_hash: str = Field(description="SHA-256 of its text.")
    score: float | None
    dense: LegScore | None
    bm25: LegScore | None

    @classmethod
    def of(cls, number: int, passage: RetrievedPassage) -> Self:
        """Take down what was found."""
        return cls(
            number=number,
            chunk_ids=list(passage.chunk_ids),
            content_hash=text_hash(passage.text),
            score=passage.score,
            dense=LegScore.dense(passage.ranked),
            bm25=LegScore.bm25(passage.ranked),
        )

    @classmethod
    def of_selection(cls, source: SourceText) -> Self:
        """Take down a piece of a selected text."""
        return cls(
            number=source.number,
            chunk_ids=[],
            content_hash=text_hash(source.text),
            score=source.score,
            dense=None,
            bm25=None,
        )


class UsedSettings(BaseModel):
    """What decided which passages were found, and how many the model was given."""

    mode: SearchMode | None = Field(description="Null for a selected text.")
    filters: SearchFilters | None
    top_k: int
    embedding_model: str
    context_tokens: int
    generation_timeout_sec: float


class Wishes(BaseModel):
    """What a program that passes a question on asks for, beside the answer."""

    instructions: str = Field(default="", description="Of the wording.")
    options: dict[str, Any] = Field(
        default={},
        description="Fields of the request to the language model.",
        examples=[{"temperature": 0.2}],
    )


class TracedHistory(UsedHistory):
    """Which messages those were."""

    message_ids: list[UUID] = Field(default=[], description="Given word for word, oldest first.")
    summary_of: UUID | None = Field(
        default=None, description="The last message that the summary sums up."
    )


class _Made(BaseModel):
    """How an answer was made, apart from its passages."""

    prompt_hash: str | None = Field(
        description="SHA-256 of the messages that the language model was sent; null when nothing "
        "was found, so that it was not asked."
    )
    requested_model: str
    software_background: Level | None = Field(
        default=None, description="What the instructions told of the one who asked."
    )
    hardware_background: Level | None = None
    settings: UsedSettings | None = Field(
        default=None, description="Null for a completion without documents."
    )
    query: str | None = Field(
        default=None,
        description="What was searched for in place of a question that only makes sense after "
        "those before it.",
    )
    history: TracedHistory | None = Field(
        default=None,
        description="In a chat, or where the client has sent it; then it has no ids, since such "
        "messages are not stored.",
    )
    wishes: Wishes | None = None
    left_out: int = Field(
        default=0, description="Passages that the context window had no room for."
    )
    relevance: float | None = Field(
        default=None,
        description="How likely it is that the passages answer the question, from 0 to 1.",
    )
    selected_text_hash: str | None = Field(
        default=None, description="SHA-256 of a selected text, which itself is not stored."
    )
    timings_ms: dict[str, float] = Field(default={}, examples=[{"embed": 4.1, "index": 0.6}])
    replay_of: UUID | None = Field(default=None, description="The answer that was given again.")


class Provenance(_Made):
    """What is stored with an answer; no text of a document or a selection is in it."""

    passages: list[UsedPassage] = []


class TracedPassage(Source):
    """A passage that was in the prompt, as it is now."""

    chunk_ids: list[UUID]
    content_hash: str = Field(description="SHA-256 of the text that was in the prompt.")
    dense: LegScore | None
    bm25: LegScore | None
    text: str | None = Field(
        description="Null when the document was changed or deleted since, or for a selected text."
    )


class Trace(_Made):
    """How an answer came about."""

    id: UUID
    question_id: UUID
    question: str
    message: str
    status: MessageStatus
    model: str = Field(description="The one that answered.")
    created_at: datetime
    usage: TokenUsage
    passages: list[TracedPassage]
    citations: list[StoredCitation]


def text_hash(text: str) -> str:
    """Return a text's SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()
