"""Answers about ingestions."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field

__all__ = ["Ingestion", "IngestionState", "Item", "ItemState", "LogLine"]


class IngestionState(StrEnum):
    """How far a run is; the last four are ends."""

    QUEUED = "queued"
    LISTING = "listing"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ItemState(StrEnum):
    """How far a document is; `vanished` ones are removed when all others are done."""

    PENDING = "pending"
    FETCHED = "fetched"
    VANISHED = "vanished"
    STORED = "stored"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Ingestion(BaseModel):
    """A run over a source."""

    id: UUID
    source_id: UUID
    source_kind: str = Field(examples=["git"])
    location: str = Field(examples=["https://github.com/fastapi/fastapi.git"])
    cause: str = Field(
        examples=["request"], description="`request`, `schedule`, `upload` or `replay`"
    )
    everything: bool = Field(description="Whether what is unchanged is stored again too.")
    state: IngestionState = Field(
        description="`incomplete`: it has ended, and some documents failed."
    )
    listed: int = Field(examples=[155], description="Documents that the source has.")
    unchanged: int = Field(examples=[120])
    stored: int = Field(examples=[35])
    deleted: int = Field(examples=[2])
    skipped: int = Field(examples=[1], description="Documents that can't be used.")
    failed: int = Field(examples=[0])
    passages: int = Field(examples=[612], description="Of what was stored.")
    embedded: int = Field(examples=[97], description="Passages whose text was new.")
    error: str | None = Field(description="Why the run itself failed.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Item(BaseModel):
    """A document of a run; those whose version is unchanged are not among them."""

    path: str = Field(examples=["docs/index.md"])
    state: ItemState
    url: str | None
    attempts: int
    error: str | None = Field(description="Why it failed, was skipped or deleted.")
    finished_at: datetime | None


class LogLine(BaseModel):
    """What happened in a run."""

    id: int
    created_at: datetime
    level: str = Field(examples=["info"])
    path: str | None
    message: str
