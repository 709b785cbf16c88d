"""API tokens: creating, listing and revoking them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.accounts.exceptions import Forbidden, Unauthorized
from app.accounts.models import Caller
from app.accounts.schemas import ApiToken, NewApiToken, NewToken
from app.accounts.tokens import API_PREFIX, hash_token, hint_of, new_token
from app.core.database import Database, Queries
from app.core.exceptions import Conflict, InvalidRequest, NotFound
from settings import Settings

__all__ = ["create", "find_all", "revoke"]

MAX_TOKENS = 100
LONGEST = timedelta(days=366)


class TokenNotFound(NotFound):
    """You have no such token."""

    code = "token_not_found"


class TooManyApiTokens(Conflict):
    """You have 100 tokens. Revoke one that you don't need any more."""

    code = "too_many_api_tokens"


async def create(
    database: Database, settings: Settings, caller: Caller, new: NewToken
) -> NewApiToken:
    """Make a token, and return it for the only time.

    Raises:
        InvalidRequest: it would expire too early or too late.
        Forbidden: the caller doesn't have all of its scopes.
        Conflict: there are too many.
    """
    now = datetime.now(UTC)
    if new.expires_at is not None and not now < new.expires_at <= now + LONGEST:
        raise InvalidRequest("expires_at: must be in the future, and at most a year from now")
    if missing := sorted(new.scopes - caller.scopes):
        raise Forbidden(f"You can't give a token scopes that you don't have: {', '.join(missing)}.")
    token = new_token(API_PREFIX)
    created = await database.run(
        _create, caller.account_id, new, hint_of(token), hash_token(settings, token)
    )
    return NewApiToken(token=token, **created.model_dump())


async def find_all(database: Database, account_id: UUID) -> list[ApiToken]:
    """Return an account's tokens, newest first."""
    rows = await database.run_statement(
        lambda queries: list(queries.list_api_tokens(account_id=account_id))
    )
    return [ApiToken(**row) for row in rows]


async def revoke(database: Database, account_id: UUID, token_id: UUID) -> None:
    """Make a token invalid, from the next request on.

    Raises:
        NotFound: the account has none such.
    """
    deleted = await database.run_statement(
        lambda queries: queries.delete_api_token(account_id=account_id, token_id=token_id)
    )
    if not deleted:
        raise TokenNotFound


def _create(
    queries: Queries, account_id: UUID, new: NewToken, hint: str, hashed: bytes
) -> ApiToken:
    # Or two requests at once could both be the hundredth.
    if queries.lock_account_tokens(account_id=account_id) is None:
        raise Unauthorized
    queries.delete_expired_tokens(account_id=account_id, kind="api")
    if queries.count_api_tokens(account_id=account_id) >= MAX_TOKENS:
        raise TooManyApiTokens
    row = queries.insert_api_token(
        account_id=account_id,
        token_hash=hashed,
        name=new.name,
        hint=hint,
        scopes=" ".join(sorted(new.scopes)),
        expires_at=new.expires_at,
        requests_per_minute=new.requests_per_minute,
        tokens_per_day=new.tokens_per_day,
    )
    return ApiToken(**row)
