"""From a request's token to the account that it belongs to."""

import hmac

from fastapi import Request
from fastapi.security.utils import get_authorization_scheme_param

from app.accounts.exceptions import Forbidden, Unauthorized
from app.accounts.models import Caller, Scope
from app.accounts.sessions import COOKIE
from app.accounts.tokens import SESSION_PREFIX, csrf_token, hash_token, is_intact
from app.core.database import Database
from settings import Settings

__all__ = ["CSRF_HEADER", "authenticate", "csrf_token_for_page"]

CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class CsrfProofMissing(Forbidden):
    """Send the csrf_token that logging in has returned, as `X-CSRF-Token`."""

    code = "csrf_proof_missing"


async def authenticate(request: Request, database: Database, settings: Settings) -> Caller:
    """Return who sends a request.

    Raises:
        Unauthorized: it has no token, or none that is valid now; it is not told which.
        Forbidden: a cookie alone does not show that the page itself has sent it.
    """
    token = _bearer(request)
    is_cookie = token is None
    if token is None:
        token = request.cookies.get(COOKIE, "")
    if not is_intact(token) or (is_cookie and not token.startswith(SESSION_PREFIX)):
        raise Unauthorized
    # Whoever measures how long this takes learns about hashes that they can't make.
    hashed = hash_token(settings, token)
    row = await database.run_statement(lambda queries: queries.find_caller(token_hash=hashed))
    if row is None:
        raise Unauthorized
    if is_cookie and request.method not in SAFE_METHODS:
        _require_csrf_proof(request, csrf_token(settings, token))
    scopes = frozenset(map(Scope, row["scopes"]))
    # An account may have ceased to be an admin's since its token was made.
    scopes = scopes if row["is_admin"] else scopes - {Scope.ADMIN}
    return Caller(
        row["account_id"],
        # With a token that is for less, an admin is as anybody.
        is_admin=Scope.ADMIN in scopes,
        scopes=scopes,
        token_id=row["id"],
        is_session=row["kind"] == "session",
        requests_per_minute=row["requests_per_minute"],
        tokens_per_day=row["tokens_per_day"],
    )


def csrf_token_for_page(request: Request, settings: Settings) -> str | None:
    """Return what a page proves itself with that was loaded anew; its session is known to be valid.

    Only our own page is told: a browser sends no `Origin` with what a page gets from where it came
    from itself, and always with what a page of another origin could read.
    """
    token = request.cookies.get(COOKIE, "")
    fetched_from = request.headers.get("Sec-Fetch-Site", "same-origin")
    is_own = "Origin" not in request.headers and fetched_from == "same-origin"
    if not settings.requires_auth or _bearer(request) is not None or not is_own:
        return None
    return csrf_token(settings, token)


def _bearer(request: Request) -> str | None:
    """The token of the header; None when there is none, or another scheme, of a proxy's say."""
    scheme, token = get_authorization_scheme_param(request.headers.get("Authorization"))
    return token if scheme.lower() == "bearer" else None


def _require_csrf_proof(request: Request, expected: str) -> None:
    sent = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(sent.encode(), expected.encode()):
        raise CsrfProofMissing
