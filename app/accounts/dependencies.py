"""Who asks, as routes ask for it: with the scope that a route needs.

`caller: AskerDep` is the account that a request belongs to. Every statement about what belongs to
somebody takes `caller.account_id`.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.accounts.authentication import authenticate
from app.accounts.exceptions import Forbidden, Unauthorized
from app.accounts.limits import account_limits, address_limit, count_request, login_limits
from app.accounts.models import LOCAL, Caller, Scope
from app.core.dependencies import DatabaseDep, SettingsDep

__all__ = [
    "AskerDep",
    "CallerDep",
    "IngesterDep",
    "LoginLimitDep",
    "ReaderDep",
]

# For /docs, which asks for a token by it; a cookie is good as well.
_BearerDep = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(
        HTTPBearer(
            auto_error=False, description="The token of a session (`brags_…`) or an API token."
        )
    ),
]


async def _caller(
    request: Request, database: DatabaseDep, settings: SettingsDep, _: _BearerDep
) -> Caller:
    host = request.client.host if request.client else None
    per_minute = settings.request_limit
    try:
        caller = (
            await authenticate(request, database, settings) if settings.requires_auth else LOCAL
        )
    except (Unauthorized, Forbidden):
        if per_minute:
            await count_request(database, [address_limit(host, per_minute)])
        raise
    if per_minute:
        limits = account_limits(caller.account_id, host, per_minute)
        allowance = await count_request(database, limits)
        request.state.response_headers = allowance.headers
    return caller


CallerDep = Annotated[Caller, Depends(_caller)]


def _with(scope: Scope) -> Callable[[Caller], Awaitable[Caller]]:
    async def require(caller: CallerDep) -> Caller:
        if scope not in caller.scopes:
            raise Forbidden(f"This token lacks the scope {scope}.")
        return caller

    return require


ReaderDep = Annotated[Caller, Depends(_with(Scope.READ))]
AskerDep = Annotated[Caller, Depends(_with(Scope.ASK))]
IngesterDep = Annotated[Caller, Depends(_with(Scope.INGEST))]


async def _login_limit(
    request: Request, database: DatabaseDep, settings: SettingsDep
) -> Callable[[str], Awaitable[None]]:
    async def count(email: str) -> None:
        host = request.client.host if request.client else None
        of_address, of_mailbox = login_limits(email, host, settings.login_requests_per_hour)
        # One after the other: what an address asks for beyond its own limit must not use up that
        # of mailboxes; and how much a mailbox has left would tell who asks for links to it.
        allowance = await count_request(database, [of_address])
        await count_request(database, [of_mailbox])
        request.state.response_headers = allowance.headers

    return count


# `await count_login(email)` before anything else is done for it.
LoginLimitDep = Annotated[Callable[[str], Awaitable[None]], Depends(_login_limit)]
