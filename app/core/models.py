"""Shapes that every endpoint shares."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ErrorBody", "ErrorResponse", "Health", "PartStatus", "Readiness", "Version"]


class ErrorBody(BaseModel):
    """What went wrong, for programs."""

    code: str = Field(examples=["invalid_request"])
    message: str = Field(examples=["message must not be empty"])
    details: dict[str, Any] = Field(default_factory=dict)
    request_id: str | None = Field(examples=["4f0c2b7a9d7c4d3d9e0a5a2f8b1c6e7d"])


class ErrorResponse(BaseModel):
    """Every error of the API; `detail` repeats the message."""

    detail: str = Field(examples=["message must not be empty"])
    error: ErrorBody


class Version(BaseModel):
    """The running version."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": "0.1.0"}]})

    version: str


class Health(BaseModel):
    """That the process answers."""

    status: str = Field(examples=["healthy"])


class PartStatus(BaseModel):
    """One part that bRAG depends on."""

    status: str = Field(
        examples=["ok"],
        description="`ok` or `down`; of the worker `absent` or `unknown`, which keeps no question "
        "from being answered",
    )
    detail: str | None = Field(default=None, examples=["PostgreSQL answers"])
    lag_changes: int | None = Field(
        default=None,
        examples=[0],
        description="Of the index: how many changes it has yet to follow, 10,000 at most",
    )
    lag_seconds: float | None = Field(
        default=None, examples=[0.0], description="Of the index: since when the first of them waits"
    )


class Readiness(BaseModel):
    """Whether this process can answer questions now."""

    status: str = Field(examples=["ready"], description="`ready` or `unavailable`")
    parts: dict[str, PartStatus]
