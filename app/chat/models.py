"""Requests and answers of the chat endpoints."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.chat.constants import ChatRole, MessageStatus
from app.core.text import storable

__all__ = [
    "Answer",
    "AnswerWithSources",
    "Chunk",
    "Done",
    "MessageRequest",
    "Source",
    "SourceText",
    "StoredMessage",
    "TokenUsage",
]

QUESTION = "How do I ingest a folder?"


class MessageRequest(BaseModel):
    """A question, and optionally which model answers it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"message": QUESTION}]})

    message: Annotated[str, AfterValidator(storable)]
    model: str | None = Field(
        default=None, description="One of the allowed models; unset means the default."
    )


class TokenUsage(BaseModel):
    """Tokens, as the language model counts them; null where it doesn't say."""

    prompt_tokens: int | None = Field(examples=[812])
    completion_tokens: int | None = Field(examples=[57])


class Source(BaseModel):
    """A passage that an answer was made from; `[number]` in the answer refers to it."""

    number: int = Field(examples=[1])
    document_id: UUID
    chunk_id: UUID
    path: str = Field(examples=["ingestion.md"])
    title: str = Field(examples=["Ingestion"])
    heading_path: list[str] = Field(examples=[["Ingestion", "Folders"]])
    start: int = Field(description="Characters into the document's text.", examples=[120])
    end: int = Field(description="Exclusive.", examples=[640])
    score: float = Field(examples=[0.83])


class SourceText(Source):
    """The same with its text."""

    text: str = Field(examples=["To ingest a folder, run `python -m app ingest PATH`."])


class Answer(BaseModel):
    """An answer of the language model."""

    created_at: datetime
    id: UUID
    role: ChatRole = ChatRole.ASSISTANT
    model: str = Field(examples=["offline-extractive"])
    message: str = Field(examples=["To ingest a folder, run `python -m app ingest PATH`. [1]"])
    usage: TokenUsage


class AnswerWithSources(Answer):
    """An answer from your documents."""

    sources: list[SourceText]


class StoredMessage(BaseModel):
    """A question or an answer, as it is kept."""

    created_at: datetime
    id: UUID
    question_id: UUID | None = Field(description="The question that an answer belongs to.")
    role: ChatRole
    status: MessageStatus
    model: str
    message: str
    usage: TokenUsage
    sources: list[Source]


class Chunk(BaseModel):
    """The data of a `message` event."""

    id: UUID
    created: int = Field(description="Unix time in seconds.")
    model: str
    content: str
    finish_reason: str | None


class Done(BaseModel):
    """The data of the `done` event that ends a complete stream."""

    id: UUID
    model: str
    usage: TokenUsage
