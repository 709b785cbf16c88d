"""One's own account: looking at it, changing it, deleting it."""

from typing import Any
from uuid import UUID

from app.accounts.exceptions import Unauthorized
from app.accounts.models import LOCAL_ACCOUNT
from app.accounts.schemas import DeletedAccount, Profile, ProfileChange
from app.core.database import Database, Queries
from app.core.exceptions import Conflict

__all__ = ["delete", "find", "update"]


class LastAdmin(Conflict):
    """You are the last admin. Make somebody else one before you delete your account."""

    code = "last_admin"


async def find(database: Database, account_id: UUID) -> Profile:
    """Return an account.

    Raises:
        Unauthorized: it has just been deleted.
    """
    row = await database.run_statement(lambda queries: queries.find_account(account_id=account_id))
    return _account(row)


async def update(database: Database, account_id: UUID, change: ProfileChange) -> Profile:
    """Change an account where something is said.

    Raises:
        Unauthorized: it has just been deleted.
    """
    given = change.model_fields_set
    row = await database.run_statement(
        lambda queries: queries.update_account(
            account_id=account_id,
            has_name="name" in given,
            has_software="software_background" in given,
            has_hardware="hardware_background" in given,
            **change.model_dump(mode="json"),
        )
    )
    return _account(row)


async def delete(database: Database, account_id: UUID) -> DeletedAccount:
    """Remove an account with everything that belongs to it; what is under way over it ends.

    Raises:
        Conflict: nobody else is an admin.
        Unauthorized: it has just been deleted.
    """
    # By itself: what is sent from now on is refused at once, where it would wait for all the rest,
    # and keep a connection from others. Should the rest fail, its owner has to log in once more.
    await database.run(_revoke_tokens, account_id)
    return await database.run(_delete, account_id)


def _account(row: dict[str, Any] | None) -> Profile:
    if row is None:
        raise Unauthorized
    return Profile(**row)


def _lock(queries: Queries, account_id: UUID) -> dict[str, Any]:
    """Return an account that may be deleted; nobody adds anything to it from now on."""
    account: dict[str, Any] | None = queries.lock_account(account_id=account_id)
    if account is None:
        raise Unauthorized
    if account["role"] == "admin":
        queries.lock_admins()
        if not queries.has_other_admin(account_id=account_id, local_account_id=LOCAL_ACCOUNT):
            raise LastAdmin
    return account


def _revoke_tokens(queries: Queries, account_id: UUID) -> None:
    _lock(queries, account_id)
    queries.delete_account_tokens(account_id=account_id)


def _delete(queries: Queries, account_id: UUID) -> DeletedAccount:
    # For whatever is being stored just now: there is no good moment to try again.
    queries.wait_for_locks()
    account = _lock(queries, account_id)
    list(queries.lock_account_sources(account_id=account_id))
    list(queries.cancel_account_jobs(account_id=account_id))
    documents = queries.count_account_documents(account_id=account_id)
    deleted = DeletedAccount(
        sources=queries.delete_account_sources(account_id=account_id),
        documents=documents,
        messages=queries.delete_account_messages(account_id=account_id),
    )
    queries.delete_login_links(email=account["email"])
    queries.delete_account(account_id=account_id)
    # Vectors are shared by text; those that nobody needs any more go.
    list(queries.defer_prune_job())
    return deleted
