"""Requests and answers about sources."""

import re
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.accounts.models import Visibility
from app.core.text import storable
from app.knowledge.connectors.config import NewSourceConfig, SourceConfig
from app.knowledge.ingestions.models import Ingestion

__all__ = ["NewSource", "Source", "SourceChange", "SyncedSource", "every_text", "seconds"]

_EVERY = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
SHORTEST_MINUTES = 5
LONGEST_DAYS = 366


def seconds(every: str | None) -> float | None:
    """Return the seconds of a time like `30m`, `6h`, `1d`."""
    if every is None:
        return None
    match = _EVERY.fullmatch(every)
    assert match is not None, "validated"
    return int(match[1]) * _UNITS[match[2]].total_seconds()


def every_text(sec: float | None) -> str | None:
    """Return seconds as they were said."""
    if sec is None:
        return None
    for unit in ("d", "h"):
        number, rest = divmod(sec, _UNITS[unit].total_seconds())
        if not rest:
            return f"{number:.0f}{unit}"
    return f"{sec / 60:.0f}m"


def _checked_every(value: str) -> str:
    if not _EVERY.fullmatch(value):
        raise ValueError("must be a number with m, h or d: 30m, 6h, 1d")
    if not SHORTEST_MINUTES * 60 <= (seconds(value) or 0) <= LONGEST_DAYS * 86_400:
        raise ValueError(f"must be between {SHORTEST_MINUTES}m and {LONGEST_DAYS}d")
    return value


Every = Annotated[
    str,
    AfterValidator(_checked_every),
    Field(description="Sync again by itself, this often: `30m`, `6h`, `1d`.", examples=["6h"]),
]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(storable)]


class NewSource(BaseModel):
    """A source to be kept in sync."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "config": {
                        "kind": "git",
                        "url": "https://github.com/fastapi/fastapi.git",
                        "path_prefixes": ["docs/en/docs"],
                    },
                    "every": "1d",
                }
            ]
        },
    )

    name: Name | None = Field(None, description="By default what the source itself is called.")
    config: NewSourceConfig
    every: Every | None = None
    visibility: Visibility | None = Field(
        None,
        description="Who reads it: `private` you alone, by default; `shared` everybody, by default "
        "while AUTH is off.",
    )
    sync: bool = Field(True, description="Begin to ingest it at once.")


class SourceChange(BaseModel):
    """What to change; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"every": "6h"}]})

    name: Name | None = None
    config: SourceConfig | None = Field(None, description="Of the same kind.")
    every: Every | None = Field(None, description="null: no longer by itself.")
    visibility: Visibility | None = Field(None, description="Holds for the next search.")


class Source(BaseModel):
    """Where documents come from."""

    id: UUID
    name: str
    kind: str = Field(examples=["git"])
    location: str | None = Field(
        examples=["https://github.com/fastapi/fastapi.git"],
        description="null: it is somebody else's. Its owner and admins see it.",
    )
    config: dict[str, object] | None = Field(description="null likewise.")
    every: str | None = Field(examples=["1d"])
    visibility: Visibility
    mine: bool = Field(description="Whether it is the caller's; only admins change others'.")
    documents: int = Field(examples=[155])
    created_at: datetime
    synced_at: datetime | None = Field(description="When a run over it last succeeded.")


class SyncedSource(Source):
    """A new source, with the run that ingests it."""

    ingestion: Ingestion | None
