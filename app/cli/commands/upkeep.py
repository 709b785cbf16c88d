"""Commands that keep a knowledge base in order."""

# ruff: noqa: PLC0415 -- see the package

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.commands.shared import (
    OPERATING,
    AsJson,
    examples,
    failures,
    group,
)
from app.cli.printing import print_json
from app.cli.starting import command_settings

if TYPE_CHECKING:
    from app.knowledge.doctor.diagnosis import Diagnosis
    from settings import Settings

__all__ = ["cli"]

cli = group()


@cli.command(rich_help_panel=OPERATING, epilog=examples("brag doctor", "brag doctor --repair"))
def doctor(
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare PostgreSQL and every index exactly.

    Exit codes: 0 all is well, 1 something differs, 2 something can't be checked.
    """
    with failures(as_json=as_json, code=2):
        settings = command_settings()
        raise typer.Exit(asyncio.run(_doctor(settings, repair=repair, as_json=as_json)))


async def _doctor(settings: "Settings", *, repair: bool, as_json: bool) -> int:
    from app.cli.progress import BarProgress
    from app.resources.doctor import run_doctor

    code = 0
    described: list[dict[str, object]] = []
    with BarProgress("done") as progress:
        async with aclosing(run_doctor(settings, mend=repair, stage=progress.stage)) as diagnoses:
            async for diagnosis in diagnoses:
                code = diagnosis.exit_code
                described.append(_described(diagnosis))
                if not as_json:
                    for line in (*diagnosis.lines, *map(str, diagnosis.findings)):
                        typer.echo(line)
                    typer.echo(diagnosis.verdict)
    if as_json:
        # With --repair there is another one after it.
        print_json({"diagnoses": described})
    return code


def _described(diagnosis: "Diagnosis") -> dict[str, object]:
    findings = [
        {"severity": one.severity, "message": one.message, "repair": one.repair}
        for one in diagnosis.findings
    ]
    return {"verdict": diagnosis.verdict, "findings": findings, "lines": diagnosis.lines}


@cli.command(
    rich_help_panel=OPERATING,
    epilog=examples("EMBEDDING_MODEL=BAAI/bge-small-en-v1.5 brag reindex"),
)
def reindex(*, as_json: AsJson = False) -> None:
    """Embed everything with another EMBEDDING_MODEL, then use that one; answers go on meanwhile.

    Exit codes: 0 done, or nothing to do; 1 it failed; 130 interrupted. Run it
    again to go on.
    """
    from app.cli.reindex import reindex_all

    with failures(
        as_json=as_json, interrupted="Interrupted. What was embedded stays; run it again to go on."
    ):
        asyncio.run(reindex_all(command_settings(), as_json=as_json))


@cli.command(rich_help_panel=OPERATING, epilog=examples("brag prepare"))
def prepare(*, as_json: AsJson = False) -> None:
    """Prepare the models that the settings name, once per machine."""
    from app.cli.progress import BarProgress
    from app.knowledge.model_files import prepare_model
    from app.knowledge.model_sources import EMBEDDING, RERANKING

    ready = []
    with failures(as_json=as_json):
        settings = command_settings()
        named = ((settings.embedding_model, EMBEDDING), (settings.reranker_model, RERANKING))
        for name, kind in named:
            if name is not None:
                with BarProgress("steps") as progress:
                    prepare_model(name, settings.models_dir, progress.stage, kind=kind)
                ready.append(name)
                if not as_json:
                    typer.echo(f"{name} is ready.")
        if as_json:
            print_json({"models": ready})


@cli.command(rich_help_panel=OPERATING, epilog=examples("brag migrate"))
def migrate(
    *,
    dump: Annotated[bool, typer.Option("--dump", help="Then write db/schema.sql.")] = False,
) -> None:
    """Bring the database to the newest schema; serving does so by itself."""
    from app.core.migrations import dump_schema
    from app.resources.database import own_database
    from settings import ROOT

    with failures(), own_database(command_settings()) as url:
        if dump:
            dump_schema(url, ROOT / "db" / "schema.sql")
