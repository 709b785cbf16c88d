"""`python -m app users`: accounts and their tokens, for whoever runs bRAG."""

from collections.abc import Collection
from datetime import datetime

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.accounts.addresses import normalized
from app.accounts.api_tokens import create
from app.accounts.models import ALL_SCOPES, LOCAL_ACCOUNT, Caller, Scope
from app.accounts.schemas import NewToken
from app.chat.usage import usage_by_account
from app.cli.database import opened_database
from app.cli.printing import print_json, printable
from app.core.exceptions import Conflict, InvalidRequest, NotFound
from app.resources.database import open_database
from settings import Settings

__all__ = ["create_token", "create_user", "list_users", "promote_user", "show_usage"]

# What is told of an account.
SHOWN = ("email", "role", "created_at", "last_used_at")
DEFAULT_SCOPES = (Scope.READ, Scope.ASK, Scope.INGEST)


def create_user(settings: Settings, email: str, *, is_admin: bool, as_json: bool = False) -> None:
    """Make an account, so that its owner can log in.

    Raises:
        InvalidRequest: it is not an address.
        Conflict: there is such an account.
    """
    address, role = _address(email), "admin" if is_admin else "user"
    with opened_database(settings) as database:
        account = database.run_sync(
            lambda queries: queries.insert_account(email=address, role=role)
        )
    if account is None:
        raise Conflict(
            f"There is an account {address} already. To make it an admin: "
            f"python -m app users promote {address}"
        )
    if as_json:
        print_json({"email": address, "role": role})
    else:
        typer.echo(f"{address} can log in now, as {'an admin' if is_admin else 'a user'}.")


def list_users(settings: Settings, *, as_json: bool = False) -> None:
    """Print the accounts, oldest first."""
    with opened_database(settings) as database:
        rows = database.run_sync(
            lambda queries: list(queries.list_accounts(local_account_id=LOCAL_ACCOUNT))
        )
    if as_json:
        print_json([{name: row[name] for name in SHOWN} for row in rows])
        return
    if not rows:
        typer.echo("There are no accounts. Try: python -m app users create EMAIL --admin")
        return
    console = Console(width=None if Console().is_terminal else 400, highlight=False)
    table = Table("address", "role", "since", "last used", box=None, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        cells = (row["email"], row["role"], _time(row["created_at"]), _time(row["last_used_at"]))
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console.print(table)


def show_usage(settings: Settings, *, days: int, as_json: bool) -> None:
    """Print what each account has used of language models, what cost most first."""
    with opened_database(settings) as database:
        used = database.run_sync(usage_by_account, days)
    if as_json:
        print_json([one.model_dump(mode="json") for one in used])
        return
    if not used:
        typer.echo(f"Nobody has used a language model in the last {days} days.")
        return
    console = Console(width=None if Console().is_terminal else 400, highlight=False)
    table = Table("address", "model", "calls", "prompt", "answers", "cost", box=None)
    for one in used:
        cost = "unknown" if one.cost is None else f"{one.cost:.4f}"
        more = f" + {one.calls_without_cost} of unknown cost" if one.calls_without_cost else ""
        table.add_row(
            Text(printable(one.email or "local")),
            Text(printable(one.model)),
            str(one.calls),
            str(one.prompt_tokens),
            str(one.completion_tokens),
            cost + ("" if one.cost is None else more),
        )
    console.print(table)


def promote_user(settings: Settings, email: str, *, as_json: bool = False) -> None:
    """Make an account an admin's.

    Raises:
        InvalidRequest: it is not an address.
        NotFound: there is no such account.
    """
    address = _address(email)
    with opened_database(settings) as database:
        promoted = database.run_sync(lambda queries: queries.promote_account(email=address))
    if not promoted:
        raise _not_found(address)
    if as_json:
        print_json({"email": address, "role": "admin"})
    else:
        typer.echo(f"{address} is an admin now.")


async def create_token(
    settings: Settings,
    email: str,
    *,
    name: str,
    scopes: Collection[Scope],
    as_json: bool = False,
) -> None:
    """Make an API token, and print it alone to standard output.

    Raises:
        InvalidRequest: it is not an address or a name, or the account may not have such a token.
        NotFound: there is no such account.
    """
    address = _address(email)
    try:
        new = NewToken(name=name, scopes=frozenset(scopes or DEFAULT_SCOPES))
    except ValidationError as error:
        raise InvalidRequest(
            f"The name {error.errors()[0]['msg'].removeprefix('Value error, ')}."
        ) from None
    async with open_database(settings) as database:
        account = await database.run(lambda queries: queries.find_account_by_email(email=address))
        if account is None:
            raise _not_found(address)
        is_admin = account["role"] == "admin"
        if Scope.ADMIN in new.scopes and not is_admin:
            raise InvalidRequest(
                f"{address} is no admin, so there is no token with the scope admin. First: "
                f"python -m app users promote {address}"
            )
        caller = Caller(account["id"], is_admin=is_admin, scopes=ALL_SCOPES)
        created = await create(database, settings, caller, new)
    if as_json:
        given = {"email": address, "name": name, "scopes": created.scopes, "token": created.token}
        print_json(given)
    else:
        typer.echo(created.token)
    named = ", ".join(created.scopes)
    typer.echo(f"A token of {address} for {named}. It is shown only now.", err=True)


def _address(email: str) -> str:
    try:
        return normalized(email)
    except ValueError as error:
        raise InvalidRequest(f"The address {error}.") from None


def _not_found(address: str) -> NotFound:
    return NotFound(
        f"There is no account {address}. To make one: python -m app users create {address}"
    )


def _time(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M}"
