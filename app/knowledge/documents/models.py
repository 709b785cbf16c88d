"""Requests and answers about documents."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from app.accounts.models import Visibility
from app.core.text import storable
from app.knowledge.ingestions.models import Ingestion

__all__ = [
    "MAX_PATH_CHARACTERS",
    "AcceptedDocument",
    "AcceptedDocuments",
    "Document",
    "DocumentChunk",
    "DocumentPart",
    "DocumentText",
    "NewDocument",
    "checked_path",
]

MAX_PATH_CHARACTERS = 500

Text = Annotated[str, AfterValidator(storable)]


def checked_path(path: str) -> str:
    """Return a path that tells a document from others.

    Raises:
        ValueError: it doesn't look like one.
    """
    storable(path)
    if len(path) > MAX_PATH_CHARACTERS:
        raise ValueError(f"must not be longer than {MAX_PATH_CHARACTERS} characters")
    parts = path.split("/")
    if path != path.strip() or any(part in ("", ".", "..") for part in parts):
        raise ValueError("must look like guide/intro.md")
    return path


def _checked_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    try:
        text = json.dumps(metadata, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError):
        raise ValueError("must hold finite numbers and whole characters only") from None
    if "\\u0000" in text:
        raise ValueError("must not contain a NUL character")
    return metadata


class NewDocument(BaseModel):
    """A text to be taken in as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "title": "Opening hours",
                    "text": "We are open from 9 to 17, Monday to Friday.",
                    "metadata": {"team": "support"},
                }
            ]
        },
    )

    title: Annotated[str, Field(max_length=500), AfterValidator(storable)]
    text: Text = Field(description="Markdown or plain text.")
    path: (
        Annotated[str, Field(max_length=MAX_PATH_CHARACTERS), AfterValidator(checked_path)] | None
    ) = Field(
        None, description="What tells it from others; by default the title. The same path replaces."
    )
    metadata: Annotated[dict[str, Any], AfterValidator(_checked_metadata)] = Field(
        {}, description="Yours; it comes back with the document."
    )
    # Spelled out, since a reference would lead nowhere from where this schema is put.
    visibility: (
        Annotated[Visibility, WithJsonSchema({"type": "string", "enum": list(Visibility)})] | None
    ) = Field(
        None,
        description="Who reads it: `private` you alone, by default; `shared` everybody, by default "
        "while AUTH is off.",
    )


class Document(BaseModel):
    """A document."""

    id: UUID
    source_id: UUID
    source_kind: str = Field(examples=["upload"])
    visibility: Visibility = Field(description="Who reads it: its owner, or everybody.")
    mine: bool = Field(description="Whether it belongs to the account that asks.")
    path: str = Field(examples=["guide/intro.md"])
    title: str = Field(examples=["Introduction"])
    url: str | None = Field(description="Where it was read, if it has a place on the web.")
    media_type: str = Field(examples=["text/markdown"])
    metadata: dict[str, Any]
    characters: int = Field(examples=[4210])
    created_at: datetime
    updated_at: datetime


class DocumentChunk(BaseModel):
    """A passage of a document: `text[start:end]` of it."""

    id: UUID
    start: int = Field(description="Characters into the document's text.")
    end: int = Field(description="Exclusive.")
    heading_path: list[str]


class DocumentText(Document):
    """A document with its text, which the offsets of chunks and citations point into."""

    text: str
    chunks: list[DocumentChunk]


class DocumentPart(BaseModel):
    """A part of a document's text: `[start:end]` of `characters`."""

    id: UUID
    source_id: UUID
    path: str
    title: str
    url: str | None
    updated_at: datetime
    characters: int
    start: int
    text: str

    @property
    def end(self) -> int:
        """Where the part ends, exclusive."""
        return self.start + len(self.text)


class AcceptedDocument(BaseModel):
    """A document that will be there when its ingestion has ended."""

    id: UUID
    path: str = Field(examples=["guide/intro.md"])


class AcceptedDocuments(BaseModel):
    """Documents that were taken in, and the run that stores them."""

    ingestion: Ingestion
    documents: list[AcceptedDocument]
