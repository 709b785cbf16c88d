"""Commands about what the knowledge base holds."""

# ruff: noqa: PLC0415 -- see the package

import functools
from typing import Annotated, NoReturn

import typer

from app.cli.commands.shared import (
    DOCUMENTS,
    AsJson,
    Token,
    Url,
    examples,
    failures,
    group,
)
from app.cli.printing import print_json
from app.cli.starting import command_settings
from app.core.exceptions import InvalidRequest

__all__ = ["cli"]

cli = group()

SOURCE_HELP = (
    "A folder or file on this machine; a repository that git can clone (it ends with .git or "
    ".bundle, begins with ssh:// or user@host:, or is a repository's page on GitHub, GitLab, "
    "Bitbucket or Codeberg); or any other URL: a sitemap, or the first page of a site."
)


@cli.command(
    rich_help_panel=DOCUMENTS,
    epilog=examples(
        "brag ingest docs",
        "brag ingest docs --watch",
        "brag ingest https://github.com/fastapi/fastapi.git --path-prefix docs/en/docs",
        "brag ingest https://docs.example.com/sitemap.xml",
        "brag ingest docs --url https://brag.example.org --shared",
    ),
)
def ingest(
    source: Annotated[str, typer.Argument(help=SOURCE_HELP, metavar="PATH|GIT-URL|URL")],
    *,
    if_empty: Annotated[
        bool, typer.Option("--if-empty", help="Only when the knowledge base has no documents yet.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Then ingest what changes in the folder, until Ctrl-C.")
    ] = False,
    branch: Annotated[str | None, typer.Option(help="Of a repository; by default its own.")] = None,
    path_prefix: Annotated[
        list[str] | None,
        typer.Option(help="Only what lies below it, in a repository or site; may be repeated."),
    ] = None,
    shared: Annotated[
        bool,
        typer.Option("--shared", help="Let everybody read it there.", rich_help_panel="Server"),
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Make the knowledge base mirror a source: new and changed documents in, vanished ones out.

    To a server, a folder is uploaded: what has vanished from it stays there.

    Exit codes: 0 done, 1 something failed, 2 it can't be asked for like this,
    130 interrupted.
    """
    if url:
        if watch:
            raise typer.BadParameter("--watch is for a folder's own knowledge base, not for --url.")
        _ingest_elsewhere(url, token, source, branch, path_prefix, if_empty, shared, as_json)
    if shared:
        raise typer.BadParameter("--shared is for --url: here, everything is shared.")
    from app.cli.arguments import source_config
    from app.cli.ingest import ingest_source

    with failures(
        as_json=as_json, interrupted="Interrupted. What was stored stays; run it again to go on."
    ):
        settings = command_settings()
        try:
            config = source_config(source, branch=branch, path_prefixes=path_prefix or [])
        except InvalidRequest as error:
            raise typer.BadParameter(error.message) from None
        raise typer.Exit(
            ingest_source(settings, config, if_empty=if_empty, watch=watch, as_json=as_json)
        )


def _ingest_elsewhere(
    url: str,
    token: str | None,
    source: str,
    branch: str | None,
    path_prefixes: list[str] | None,
    if_empty: bool,
    shared: bool,
    as_json: bool,
) -> NoReturn:
    from app.cli.remote_ingest import ingest_elsewhere
    from app.cli.session import open_session

    ingesting = functools.partial(
        ingest_elsewhere,
        source=source,
        branch=branch,
        path_prefixes=path_prefixes or [],
        if_empty=if_empty,
        visibility="shared" if shared else None,
    )
    interrupted = "Interrupted. The server goes on with what it has; run it again for the rest."
    with (
        failures(as_json=as_json, interrupted=interrupted),
        open_session(url, token) as session,
    ):
        outcome = session.run(ingesting, session.connection)
        outcome.report(as_json=as_json)
        raise typer.Exit(outcome.exit_code)


@cli.command(
    rich_help_panel=DOCUMENTS,
    epilog=examples("brag status", "brag status --json | jq '.sources[].location'"),
)
def status(*, as_json: AsJson = False, url: Url = None, token: Token = None) -> None:
    """Show the sources, what is being ingested, what failed lately, and who works.

    Exit codes: 0 done, 1 failed.
    """
    from dataclasses import asdict

    from app.cli.session import open_session
    from app.cli.status import fetch_status, print_status, read_status

    with failures(as_json=as_json):
        if url:
            with open_session(url, token) as session:
                shown = session.run(fetch_status, session.connection)
        else:
            shown = read_status(command_settings())
        if as_json:
            print_json(asdict(shown))
        else:
            print_status(shown)
