"""The command that measures."""

# ruff: noqa: PLC0415 -- see the package

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from app.cli.commands.shared import (
    OPERATING,
    AsJson,
    examples,
    failures,
    group,
)
from app.cli.starting import command_settings

__all__ = ["cli"]

cli = group()


@cli.command(
    name="eval",
    rich_help_panel=OPERATING,
    epilog=examples(
        "brag eval evaluation/brag_docs --answers",
        "brag eval evaluation/brag_docs --fail-below ndcg@10=0.60",
    ),
)
def evaluate(
    folder: Annotated[
        Path, typer.Argument(help="Judged questions, in BEIR's layout.", metavar="DIR")
    ],
    *,
    mode: Annotated[
        Literal["hybrid", "dense", "bm25"], typer.Option(help="How passages are found.")
    ] = "hybrid",
    answers: Annotated[
        bool, typer.Option("--answers", help="Measure answers and citations, too.")
    ] = False,
    as_json: AsJson = False,
    fail_below: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC=VALUE", help="Such as ndcg@10=0.70; may be repeated."),
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Keep the run, question by question.")] = None,
    compare: Annotated[
        Path | None, typer.Option(help="A run that was saved: say what differs from it.")
    ] = None,
) -> None:
    """Measure retrieval on judged questions, in a knowledge base of their own.

    Exit codes: 0 measured, 1 something is below its floor, 2 it can't be
    measured, 130 interrupted.
    """
    try:
        from app.cli.evaluate import Options, evaluate_folder
    except ModuleNotFoundError as error:
        typer.echo(f"`eval` needs {error.name}, which has no wheel for this machine.", err=True)
        raise typer.Exit(2) from None
    from app.knowledge.retrieval import SearchMode

    options = Options(SearchMode(mode), answers, as_json, fail_below or [], save, compare)
    with failures(as_json=as_json, code=2, interrupted="Interrupted. What was embedded stays."):
        raise typer.Exit(asyncio.run(evaluate_folder(command_settings(), folder, options)))
