"""People who have logged in, as tests of accounts need them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx2

from app.accounts.sessions import Session, begin_session
from app.core.database import Database
from settings import Auth, Settings
from tests.support import open_client

__all__ = ["auth_required", "bearer", "join", "log_in", "new_token", "open_page"]


def auth_required(settings: Settings, **changes: Any) -> Settings:
    """The same settings, for a server where everybody has to log in."""
    return settings.model_copy(update={"auth": Auth.REQUIRED, **changes})


def join(database: Database, email: str, *, role: str = "user") -> UUID:
    """Make an account."""
    row = database.run_sync(lambda queries: queries.insert_account(email=email, role=role))
    account_id: UUID = row["id"]
    return account_id


def log_in(database: Database, settings: Settings, account_id: UUID) -> Session:
    """Begin a session, as a link that was opened does."""
    return database.run_sync(begin_session, settings, account_id)


def bearer(token: str) -> dict[str, str]:
    """The header that a program sends."""
    return {"Authorization": f"Bearer {token}"}


async def new_token(
    client: httpx2.AsyncClient, session: Session, *scopes: str, **fields: Any
) -> dict[str, Any]:
    """Make an API token; return the answer."""
    body = {"name": "a program", "scopes": scopes, **fields}
    response = await client.post("/v1/tokens", json=body, headers=bearer(session.token))
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


@asynccontextmanager
async def open_page(settings: Settings, session: Session) -> AsyncIterator[httpx2.AsyncClient]:
    """Talk to a server as the page does: with the cookie alone."""
    async with open_client(settings) as client:
        client.cookies.set("brag_session", session.token)
        yield client
