"""Who a request comes from, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.accounts.limits import Limit

__all__ = ["ALL_SCOPES", "LOCAL", "LOCAL_ACCOUNT", "Caller", "Level", "Scope", "Visibility"]

# Made by a migration; everything belongs to it while AUTH is off.
LOCAL_ACCOUNT: Final = UUID("00000000-0000-0000-0000-000000000001")


class Scope(StrEnum):
    """What a token may be used for; a session may do everything that its account may."""

    READ = "read"
    ASK = "ask"
    INGEST = "ingest"
    ADMIN = "admin"


ALL_SCOPES: Final = frozenset(Scope)


class Level(StrEnum):
    """How much somebody knows of a field."""

    BEGINNER = "beginner"
    INTERMEDIATE = "intermediate"
    ADVANCED = "advanced"
    EXPERT = "expert"


class Visibility(StrEnum):
    """Who reads what a source holds: its owner, or everybody."""

    PRIVATE = "private"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Caller:
    """The account that a request belongs to; `token_id` is None while AUTH is off."""

    account_id: UUID
    is_admin: bool
    scopes: frozenset[Scope]
    token_id: UUID | None = None
    # logged in, and not a program with an API token
    is_session: bool = False
    # limits of its API token's own, below its account's
    requests_per_minute: int | None = None
    tokens_per_day: int | None = None
    # what an answer's tokens are counted for, with `spend_tokens`; nothing where they are unlimited
    spends: tuple[Limit, ...] = ()

    @property
    def default_visibility(self) -> Visibility:
        """Who reads what the caller adds without a word about that.

        Nobody logs in as the local account: what were private to it would be lost to all once AUTH
        is required.
        """
        return Visibility.SHARED if self.account_id == LOCAL_ACCOUNT else Visibility.PRIVATE


LOCAL: Final = Caller(LOCAL_ACCOUNT, is_admin=True, scopes=ALL_SCOPES)
