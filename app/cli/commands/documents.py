"""Commands about what the knowledge base holds."""

# ruff: noqa: PLC0415 -- see the package

from typing import Annotated

import typer

from app.cli.commands.shared import DOCUMENTS, command_settings, examples, failures, group
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
) -> None:
    """Make the knowledge base mirror a source: new and changed documents in, vanished ones out.

    Exit codes: 0 done, 1 something failed, 2 it can't be asked for like this, 130 interrupted.
    """
    from app.cli.arguments import source_config
    from app.cli.ingest import ingest_source

    with failures(interrupted="Interrupted. What was stored stays; run it again to go on."):
        settings = command_settings()
        try:
            config = source_config(source, branch=branch, path_prefixes=path_prefix or [])
        except InvalidRequest as error:
            raise typer.BadParameter(error.message) from None
        raise typer.Exit(ingest_source(settings, config, if_empty=if_empty, watch=watch))


@cli.command(rich_help_panel=DOCUMENTS, epilog=examples("brag status"))
def status() -> None:
    """Show the sources, what is being ingested, what failed lately, and who works."""
    from app.cli.status import show_status

    with failures():
        show_status(command_settings())
