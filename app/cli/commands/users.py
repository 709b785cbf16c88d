"""Commands about accounts."""

# ruff: noqa: PLC0415 -- see the package

import asyncio
from enum import StrEnum
from typing import Annotated

import typer

from app.cli.commands.shared import AsJson, examples, failures, group
from app.cli.starting import command_settings

__all__ = ["ScopeName", "cli"]

cli = group(help="Accounts and their tokens.")


class ScopeName(StrEnum):
    """The scopes of app.accounts, which takes long to load."""

    READ = "read"
    ASK = "ask"
    INGEST = "ingest"
    ADMIN = "admin"


Email = Annotated[str, typer.Argument(help="An address.", metavar="EMAIL")]


@cli.command(epilog=examples("brag users create ann@example.org --admin"))
def create(
    email: Email,
    *,
    admin: Annotated[bool, typer.Option("--admin", help="As an admin.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make an account; its owner logs in by mail, or with a token."""
    from app.cli import users

    with failures(as_json=as_json):
        users.create_user(command_settings(), email, is_admin=admin, as_json=as_json)


@cli.command(name="list", epilog=examples("brag users list"))
def list_(*, as_json: AsJson = False) -> None:
    """Show the accounts."""
    from app.cli import users

    with failures(as_json=as_json):
        users.list_users(command_settings(), as_json=as_json)


@cli.command(epilog=examples("brag users usage --days 7", "brag users usage --json"))
def usage(
    *,
    days: Annotated[int, typer.Option(min=1, max=366, help="So many, today included.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Show what each account has used of language models, and what it has cost."""
    from app.cli import users

    with failures(as_json=as_json):
        users.show_usage(command_settings(), days=days, as_json=as_json)


@cli.command(epilog=examples("brag users promote ann@example.org"))
def promote(email: Email, *, as_json: AsJson = False) -> None:
    """Make somebody an admin."""
    from app.cli import users

    with failures(as_json=as_json):
        users.promote_user(command_settings(), email, as_json=as_json)


@cli.command(epilog=examples("brag users token ann@example.org --name import --scope ingest"))
def token(
    email: Email,
    *,
    name: Annotated[str, typer.Option(help="What it is for.")] = "command line",
    scope: Annotated[
        list[ScopeName] | None,
        typer.Option(help="What it is good for; may be repeated. By default read, ask, ingest."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API token, which is shown once."""
    from app.accounts.models import Scope
    from app.cli import users

    scopes = [Scope(one) for one in scope or ()]
    with failures(as_json=as_json):
        asyncio.run(
            users.create_token(command_settings(), email, name=name, scopes=scopes, as_json=as_json)
        )
