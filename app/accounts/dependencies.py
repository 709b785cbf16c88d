"""Who asks, as routes ask for it: with the scope that a route needs.

`caller: AskerDep` is the account that a request belongs to. Every statement about what belongs to
somebody takes `caller.account_id`. Routes that have something generated take an `AskerDep`, and are
refused once the day's tokens are used up; others that need the scope `ask`, an `AskScopeDep`.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.accounts.authentication import authenticate
from app.accounts.exceptions import Forbidden, Unauthorized
from app.accounts.limits import (
    Limit,
    Unit,
    account_limits,
    address_limit,
    count_request,
    login_limits,
    token_limit,
    verification_limit,
)
from app.accounts.models import LOCAL, Caller, Scope
from app.accounts.token_watch import TokenWatch
from app.core.dependencies import DatabaseDep, SettingsDep
from app.core.exceptions import AppError
from app.core.streaming import EventStream, encoded_error

__all__ = [
    "AskScopeDep",
    "AskerDep",
    "CallerDep",
    "IngesterDep",
    "LoginLimitDep",
    "ReaderDep",
    "StreamDep",
    "limit_verifications",
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
    host = _host(request)
    try:
        caller = (
            await authenticate(request, database, settings) if settings.requires_auth else LOCAL
        )
    except (Unauthorized, Forbidden):
        if per_minute := settings.request_limit:
            await count_request(database, [address_limit(host, per_minute)])
        raise
    limits = _limits(caller, host, settings.request_limit, Unit.REQUESTS)
    spends = _limits(caller, host, settings.token_limit, Unit.TOKENS)
    # Here and not in a dependency of its own: a request is counted once, in one statement.
    if _asks(request.scope["route"].dependant):
        limits += spends
    if limits:
        allowance = await count_request(database, limits)
        request.state.response_headers = allowance.headers
    return replace(caller, spends=tuple(spends))


def _host(request: Request) -> str | None:
    return request.client.host if request.client else None


def _limits(caller: Caller, host: str | None, amount: int, unit: Unit) -> list[Limit]:
    """Return all limits of a caller: of the token, of the account, of the address."""
    limits = account_limits(caller.account_id, host, amount, unit)
    own = caller.requests_per_minute if unit is Unit.REQUESTS else caller.tokens_per_day
    if caller.token_id is not None and own is not None:
        limits.append(token_limit(caller.token_id, own, unit))
    return limits


def _asks(route: Dependant) -> bool:
    """Whether a route, or what it depends on, takes an `AskerDep`."""
    return any(dependency.call is _asker or _asks(dependency) for dependency in route.dependencies)


CallerDep = Annotated[Caller, Depends(_caller)]


def _with(scope: Scope) -> Callable[[Caller], Awaitable[Caller]]:
    async def require(caller: CallerDep) -> Caller:
        if scope not in caller.scopes:
            raise Forbidden(f"This token lacks the scope {scope}.")
        return caller

    return require


ReaderDep = Annotated[Caller, Depends(_with(Scope.READ))]
AskScopeDep = Annotated[Caller, Depends(_with(Scope.ASK))]
# Another function than the one before, so that it is told from that.
_asker = _with(Scope.ASK)
AskerDep = Annotated[Caller, Depends(_asker)]
IngesterDep = Annotated[Caller, Depends(_with(Scope.INGEST))]


async def _stream(
    request: Request, caller: CallerDep, settings: SettingsDep
) -> Callable[..., EventStream]:
    watch: TokenWatch = request.state.resources.token_watch

    def stream(
        events: AsyncGenerator[bytes],
        *,
        limit_sec: float = settings.stream_limit_sec,
        encode_error: Callable[[AppError], bytes] = encoded_error,
    ) -> EventStream:
        return EventStream(
            events,
            keepalive_sec=settings.keepalive_sec,
            limit_sec=limit_sec,
            watch=watch.watch(caller.token_id),
            encode_error=encode_error,
        )

    return stream


# `stream(events)` is the response. When the caller's token is valid no more, it ends with an error.
StreamDep = Annotated[Callable[..., EventStream], Depends(_stream)]


async def _login_limit(
    request: Request, database: DatabaseDep, settings: SettingsDep
) -> Callable[[str], Awaitable[None]]:
    async def count(email: str) -> None:
        of_address, of_mailbox = login_limits(
            email, _host(request), settings.login_requests_per_hour
        )
        # One after the other: what an address asks for beyond its own limit must not use up that
        # of mailboxes; and how much a mailbox has left would tell who asks for links to it.
        allowance = await count_request(database, [of_address])
        await count_request(database, [of_mailbox])
        request.state.response_headers = allowance.headers

    return count


# `await count_login(email)` before anything else is done for it.
LoginLimitDep = Annotated[Callable[[str], Awaitable[None]], Depends(_login_limit)]


async def limit_verifications(
    request: Request, database: DatabaseDep, settings: SettingsDep
) -> None:
    """Count a link that somebody tries, good or not."""
    limit = verification_limit(_host(request), settings.login_requests_per_hour)
    request.state.response_headers = (await count_request(database, [limit])).headers
