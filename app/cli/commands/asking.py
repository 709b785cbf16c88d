"""Commands that ask the documents."""

# ruff: noqa: PLC0415 -- see the package

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.commands.shared import ASKING, command_settings, examples, failures, group
from app.core.exceptions import InvalidRequest

if TYPE_CHECKING:
    from settings import Settings

__all__ = ["cli"]

cli = group()


@cli.command(
    rich_help_panel=ASKING,
    epilog=examples('brag ask "How do I ingest a folder?"'),
)
def ask(question: Annotated[str, typer.Argument(help="What you want to know.")]) -> None:
    """Answer a question from the documents."""
    with failures():
        asyncio.run(_ask(command_settings(), question))


async def _ask(settings: "Settings", question: str) -> None:
    from pydantic import ValidationError

    from app.accounts.models import LOCAL
    from app.chat.models import QuestionRequest
    from app.resources.service import open_resources

    try:
        request = QuestionRequest(message=question)
    except ValidationError as error:
        raise InvalidRequest(
            f"The question {error.errors()[0]['msg'].split(', ', 1)[-1]}."
        ) from None
    async with open_resources(settings) as resources:
        answer = await resources.chat.ask(request, LOCAL)
    typer.echo(answer.message)
    for source in answer.sources:
        citations = [one for one in answer.citations if one.marker == source.number]
        if citations:
            doubt = "" if all(one.verified for one in citations) else "  (not verified)"
            typer.echo(f"[{source.number}] {_place(source.path, source.heading_path)}{doubt}")


@cli.command(rich_help_panel=ASKING, epilog=examples('brag search "which files are skipped" -n 3'))
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=50)] = 5,
) -> None:
    """Show the passages that fit a query best."""
    with failures():
        asyncio.run(_search(command_settings(), query, limit))


async def _search(settings: "Settings", query: str, limit: int) -> None:
    from app.accounts.models import LOCAL
    from app.resources.service import open_resources

    async with open_resources(settings) as resources:
        found = await resources.retriever.search(query, caller=LOCAL, limit=limit, merged=False)
    for passage in found.passages:
        typer.echo(f"{passage.score:.3f}  {_place(passage.path, passage.heading_path)}")
        typer.echo("       " + " ".join(passage.text.split())[:200])
    if not found.passages:
        typer.echo("Nothing found. Is anything ingested? Try: python -m app ingest PATH")


def _place(path: str, heading_path: Any) -> str:
    return " > ".join([path, *heading_path])
