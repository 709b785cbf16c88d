"""What language models have been used for: tokens and cost, by day and model."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, Self
from uuid import UUID

from pydantic import BaseModel, Field

from app.accounts.exceptions import Forbidden
from app.accounts.models import Caller, Scope
from app.core.database import Database, Queries
from app.core.exceptions import NotFound

__all__ = ["MAX_DAYS", "AccountUsage", "DayUsage", "Usage", "read_usage", "usage_by_account"]

MAX_DAYS: Final = 366


class _Used(BaseModel):
    model: str = Field(examples=["gpt-5-mini"], description="As it was asked for.")
    calls: int = Field(
        examples=[12], description="Also those that wrote a question out, or summed a chat up."
    )
    prompt_tokens: int = Field(examples=[9_744], description="As far as they are known.")
    completion_tokens: int = Field(examples=[684], description="As far as they are known.")
    cost: float | None = Field(
        examples=[0.003804],
        description="With the prices of the time, as far as it is known; null if of no call.",
    )
    calls_without_cost: int = Field(
        examples=[0], description="Calls of which a price or the tokens aren't known."
    )


class DayUsage(_Used):
    """What was used of a model in a day, in UTC."""

    day: date


class AccountUsage(_Used):
    """What an account has used of a model."""

    account_id: UUID
    email: str | None


class Usage(BaseModel):
    """What an account has used in some days, today included; newest first."""

    days: int = Field(examples=[30])
    cost: float | None = Field(
        examples=[0.003804], description="Of all of it, as far as it is known; null if of no call."
    )
    calls_without_cost: int = Field(examples=[0])
    by_day: list[DayUsage]

    @classmethod
    def of(cls, days: int, rows: Sequence[dict[str, Any]]) -> Self:
        """Sum up what was read."""
        by_day = [DayUsage(**row) for row in rows]
        costs = [one.cost for one in by_day if one.cost is not None]
        return cls(
            days=days,
            cost=sum(costs) if costs else None,
            calls_without_cost=sum(one.calls_without_cost for one in by_day),
            by_day=by_day,
        )


async def read_usage(
    database: Database, caller: Caller, *, days: int, account: str | None = None
) -> Usage:
    """Return what the caller has used, or, to admins, what the account of an address has.

    Raises:
        Forbidden: only admins may ask for another account's.
        NotFound: there is no such account.
    """
    if account is not None and not (caller.is_admin and Scope.ADMIN in caller.scopes):
        raise Forbidden("Only admins may see what others have used.")
    return await database.run(_read, caller.account_id, days, account)


def usage_by_account(queries: Queries, days: int) -> list[AccountUsage]:
    """Return what every account has used, what cost most first."""
    return [AccountUsage(**row) for row in queries.list_usage_of_accounts(days=days)]


def _read(queries: Queries, account_id: UUID, days: int, account: str | None) -> Usage:
    if account is not None:
        row = queries.find_account_by_email(email=account.strip().lower())
        if row is None:
            raise NotFound("There is no account with this address.")
        account_id = row["id"]
    return Usage.of(days, list(queries.read_usage(account_id=account_id, days=days)))
