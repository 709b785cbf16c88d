"""Answers about ingestions."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from app.accounts.models import Caller

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
    location: str | None = Field(
        examples=["https://github.com/fastapi/fastapi.git"],
        description="null: the source is somebody else's. Its owner and admins see it.",
    )
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
    embedded: int | None = Field(
        examples=[97],
        description="Passages whose text was new to the whole knowledge base; for admins only, "
        "since it tells what others have.",
    )
    error: str | None = Field(
        description="Why the run itself failed; for the source's owner and admins only."
    )
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def shown_to(cls, caller: Caller, row: Mapping[str, Any]) -> Self:
        """Return a run that the caller may read, without what is not for them."""
        hidden = set()
        if not caller.is_admin:
            hidden.add("embedded")
            if row["account_id"] != caller.account_id:
                hidden |= {"location", "error"}
        return cls(**{name: None if name in hidden else value for name, value in row.items()})


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
