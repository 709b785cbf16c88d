"""Requests as somebody else than the local account, and accounts to send them as."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from fastapi import FastAPI

from app.accounts.dependencies import _caller
from app.accounts.models import ALL_SCOPES, Caller, Scope
from tests.support import fetch

__all__ = ["add_account", "as_account"]


def add_account(
    database_url: str,
    email: str,
    *,
    is_admin: bool = False,
    scopes: frozenset[Scope] = ALL_SCOPES - {Scope.ADMIN},
) -> Caller:
    """Store an account; return it as a request of it comes."""
    role = "admin" if is_admin else "user"
    [(account_id,)] = fetch(
        database_url,
        f"INSERT INTO account (email, role) VALUES ('{email}', '{role}')"
        " RETURNING CAST(id AS text)",
    )
    return Caller(UUID(account_id), is_admin=is_admin, scopes=scopes)


@contextmanager
def as_account(app: FastAPI, caller: Caller) -> Iterator[None]:
    """Take the requests that begin within the block for an account's."""
    before = dict(app.dependency_overrides)
    app.dependency_overrides[_caller] = lambda: caller
    try:
        yield
    finally:
        app.dependency_overrides = before
