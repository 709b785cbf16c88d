"""Sessions: what logging in begins, and the cookie that a page holds one in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from fastapi import Response

from app.accounts.models import ALL_SCOPES
from app.accounts.tokens import SESSION_PREFIX, csrf_token, hash_token, hint_of, new_token
from app.core.database import Queries
from settings import Settings

__all__ = ["COOKIE", "Session", "begin_session", "clear_session_cookie", "set_session_cookie"]

COOKIE: Final = "brag_session"
SESSION_DAYS = 30


@dataclass(frozen=True, slots=True)
class Session:
    """A session that has just begun: nobody is told its token again."""

    token: str
    csrf_token: str
    expires_at: datetime


def begin_session(queries: Queries, settings: Settings, account_id: UUID) -> Session:
    """Begin a session of an account that exists; it may do all that its account may."""
    queries.delete_expired_tokens(account_id=account_id, kind="session")
    token = new_token(SESSION_PREFIX)
    expires_at = queries.insert_session(
        account_id=account_id,
        token_hash=hash_token(settings, token),
        hint=hint_of(token),
        # What only an admin may do, each request looks up: somebody may become one, or cease to be.
        scopes=" ".join(ALL_SCOPES),
        days=SESSION_DAYS,
    )
    return Session(token, csrf_token(settings, token), expires_at)


def set_session_cookie(response: Response, settings: Settings, session: Session) -> None:
    """Have the page keep a session where its scripts, and other sites' pages, can't get at it."""
    response.set_cookie(
        COOKIE,
        session.token,
        max_age=SESSION_DAYS * 86_400,
        path="/",
        secure=_is_https(settings),
        httponly=True,
        samesite="lax",
    )


def clear_session_cookie(response: Response, settings: Settings) -> None:
    """Have the page forget its session."""
    response.delete_cookie(
        COOKIE, path="/", secure=_is_https(settings), httponly=True, samesite="lax"
    )


def _is_https(settings: Settings) -> bool:
    # A service in production without a name of its own is behind something that has TLS.
    url = settings.public_url or ("https:" if settings.is_production else "")
    return url.lower().startswith("https:")
