"""Requests and answers about one's own account and its tokens."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from app.accounts.models import Level, Scope
from app.core.text import one_line, storable
from settings import Auth

__all__ = [
    "Account",
    "ApiToken",
    "DeletedAccount",
    "NewApiToken",
    "NewToken",
    "Profile",
    "ProfileChange",
]

MAX_NAME_CHARACTERS = 200
_TOKEN: Final[dict[str, JsonValue]] = {
    "id": "0b9f2f38-6a57-4c08-9d5e-0f0f5c6f1c57",
    "name": "nightly import",
    "hint": "brag_Zk3x",
    "scopes": ["read", "ingest"],
    "requests_per_minute": 30,
    "tokens_per_day": 100_000,
    "created_at": "2026-11-21T10:00:00Z",
    "last_used_at": "2026-11-28T09:30:00Z",
    "expires_at": "2027-05-01T00:00:00Z",
}


def _storable_or_empty(text: str) -> str:
    return text and storable(text)


Name = Annotated[
    str, Field(max_length=MAX_NAME_CHARACTERS), AfterValidator(storable), AfterValidator(one_line)
]
OptionalName = Annotated[
    str,
    Field(max_length=MAX_NAME_CHARACTERS),
    AfterValidator(_storable_or_empty),
    AfterValidator(one_line),
]


class Profile(BaseModel):
    """The account that a request belongs to."""

    id: UUID
    email: str = Field(examples=["ann@example.org"])
    role: str = Field(examples=["user"], description="`user` or `admin`")
    name: str = Field(examples=["Ann"])
    software_background: Level | None
    hardware_background: Level | None
    created_at: datetime


class Account(Profile):
    """One's own account, and what a page has to know to go on with it."""

    auth: Auth = Field(description="`off`: nobody logs in, and this is the local account.")
    csrf_token: str | None = Field(
        description="For a page of this server's own that has a session's cookie: what it sends as "
        "`X-CSRF-Token`. null for all others."
    )


class ProfileChange(BaseModel):
    """What to change; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "Ann", "software_background": "advanced"}]},
    )

    name: OptionalName = ""
    software_background: Level | None = Field(None, description="null: not told.")
    hardware_background: Level | None = Field(None, description="null: not told.")


class DeletedAccount(BaseModel):
    """What was removed with an account."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"sources": 2, "documents": 155, "messages": 24}]}
    )

    sources: int
    documents: int = Field(description="With their passages, and their points in the index.")
    messages: int = Field(description="Questions and answers, with their traces.")


class NewToken(BaseModel):
    """An API token to be made."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{key: _TOKEN[key] for key in ("name", "scopes", "expires_at")}]
        },
    )

    name: Name = Field(description="What it is for.")
    scopes: frozenset[Scope] = Field(min_length=1, description="What it may be used for.")
    expires_at: AwareDatetime | None = Field(
        None, description="At most a year from now; null: good until it is revoked."
    )
    requests_per_minute: int | None = Field(
        None, ge=1, le=1_000_000, description="Of the account's, which all of its tokens share."
    )
    tokens_per_day: int | None = Field(
        None, ge=1, le=1_000_000_000, description="Of the language model's tokens; the same."
    )


class ApiToken(BaseModel):
    """An API token, without the token itself."""

    model_config = ConfigDict(json_schema_extra={"examples": [_TOKEN]})

    id: UUID
    name: str
    hint: str = Field(description="How the token begins.")
    scopes: list[Scope]
    requests_per_minute: int | None
    tokens_per_day: int | None
    created_at: datetime
    last_used_at: datetime | None = Field(description="To the minute.")
    expires_at: datetime | None


class NewApiToken(ApiToken):
    """A new API token; this is the only time that it is told."""

    model_config = ConfigDict(json_schema_extra={"examples": [_TOKEN | {"token": "brag_Zk3x…"}]})

    token: str
