"""The command line: `python -m app`."""

import asyncio
import atexit
import gc
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError

from app.accounts.models import Scope
from app.core.exceptions import AppError, InvalidRequest, StartupError
from app.core.logs import configure_logs
from app.core.startup import checked_settings, require_free_port
from settings import ROOT, Settings

cli = typer.Typer(
    help="bRAG: answers from your own documents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
users = typer.Typer(help="Accounts and their tokens.", no_args_is_help=True)
cli.add_typer(users, name="users")

# Imports stand in the commands that need them: models and clients take most of a second to load.
# ruff: noqa: PLC0415

SOURCE_HELP = (
    "A folder or file on this machine; a repository that git can clone (it ends with .git or "
    ".bundle, begins with ssh:// or user@host:, or is a repository's page on GitHub, GitLab, "
    "Bitbucket or Codeberg); or any other URL: a sitemap, or the first page of a site."
)


@cli.command()
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

    settings = _settings()
    try:
        config = source_config(source, branch=branch, path_prefixes=path_prefix or [])
    except InvalidRequest as error:
        raise typer.BadParameter(error.message) from None
    try:
        code = ingest_source(settings, config, if_empty=if_empty, watch=watch)
    except KeyboardInterrupt:
        print("Interrupted. What was stored stays; run it again to go on.", file=sys.stderr)
        code = 130
    raise typer.Exit(code)


@cli.command()
def status() -> None:
    """Show the sources, what is being ingested, what failed lately, and who works."""
    from app.cli.status import show_status

    show_status(_settings())


@cli.command()
def ask(question: Annotated[str, typer.Argument(help="What you want to know.")]) -> None:
    """Answer a question from the documents."""
    asyncio.run(_ask(_settings(), question))


async def _ask(settings: Settings, question: str) -> None:
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
    print(answer.message)
    for source in answer.sources:
        citations = [one for one in answer.citations if one.marker == source.number]
        if citations:
            doubt = "" if all(one.verified for one in citations) else "  (not verified)"
            print(f"[{source.number}] {_place(source.path, source.heading_path)}{doubt}")


@cli.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=50)] = 5,
) -> None:
    """Show the passages that fit a query best."""
    asyncio.run(_search(_settings(), query, limit))


async def _search(settings: Settings, query: str, limit: int) -> None:
    from app.accounts.models import LOCAL
    from app.resources.service import open_resources

    async with open_resources(settings) as resources:
        found = await resources.retriever.search(query, caller=LOCAL, limit=limit, merged=False)
    for passage in found.passages:
        print(f"{passage.score:.3f}  {_place(passage.path, passage.heading_path)}")
        print("       " + " ".join(passage.text.split())[:200])
    if not found.passages:
        print("Nothing found. Is anything ingested? Try: python -m app ingest PATH")


@cli.command()
def doctor(
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.")] = False,
) -> None:
    """Compare PostgreSQL and every index exactly.

    Exit codes: 0 all is well, 1 something differs, 2 something can't be checked.
    """
    try:
        code = asyncio.run(_doctor(_settings(), repair=repair))
    except (AppError, StartupError) as error:
        print(error, file=sys.stderr)
        code = 2
    raise typer.Exit(code)


async def _doctor(settings: Settings, *, repair: bool) -> int:
    from app.cli.progress import BarProgress
    from app.resources.doctor import run_doctor

    code = 0
    with BarProgress("done") as progress:
        async with aclosing(run_doctor(settings, mend=repair, stage=progress.stage)) as diagnoses:
            async for diagnosis in diagnoses:
                for line in (*diagnosis.lines, *map(str, diagnosis.findings)):
                    print(line)
                print(diagnosis.verdict)
                code = diagnosis.exit_code
    return code


@cli.command()
def reindex() -> None:
    """Embed everything with another EMBEDDING_MODEL, then use that one; answers go on meanwhile.

    Exit codes: 0 done, or nothing to do; 1 it failed; 130 interrupted. Run it again to go on.
    """
    from app.cli.reindex import reindex_all

    settings = _settings()
    try:
        asyncio.run(reindex_all(settings))
    except KeyboardInterrupt:
        print("Interrupted. What was embedded stays; run it again to go on.", file=sys.stderr)
        raise typer.Exit(130) from None


@cli.command(name="eval")
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
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, and nothing else.")
    ] = False,
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

    Exit codes: 0 measured, 1 something is below its floor, 2 it can't be measured, 130 interrupted.
    """
    try:
        from app.cli.evaluate import Options, evaluate_folder
    except ModuleNotFoundError as error:
        print(f"`eval` needs {error.name}, which has no wheel for this machine.", file=sys.stderr)
        raise typer.Exit(2) from None
    from app.knowledge.retrieval import SearchMode

    options = Options(SearchMode(mode), answers, as_json, fail_below or [], save, compare)
    try:
        code = asyncio.run(evaluate_folder(_settings(), folder, options))
    except (AppError, StartupError) as error:
        print(error, file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("Interrupted. What was embedded stays.", file=sys.stderr)
        code = 130
    raise typer.Exit(code)


@cli.command()
def prepare() -> None:
    """Prepare the models that the settings name, once per machine."""
    from app.cli.progress import BarProgress
    from app.knowledge.model_files import prepare_model
    from app.knowledge.model_sources import EMBEDDING, RERANKING

    settings = _settings()
    named = ((settings.embedding_model, EMBEDDING), (settings.reranker_model, RERANKING))
    for name, kind in named:
        if name is not None:
            with BarProgress("steps") as progress:
                prepare_model(name, settings.models_dir, progress.stage, kind=kind)
            print(f"{name} is ready.")


@cli.command()
def migrate(
    *,
    dump: Annotated[bool, typer.Option("--dump", help="Then write db/schema.sql.")] = False,
) -> None:
    """Bring the database to the newest schema; serving does so by itself."""
    from app.core.migrations import dump_schema
    from app.resources.database import own_database

    with own_database(_settings()) as url:
        if dump:
            dump_schema(url, ROOT / "db" / "schema.sql")


@cli.command()
def serve(
    *,
    reload: Annotated[bool, typer.Option("--reload", help="Restart when code changes.")] = False,
) -> None:
    """Serve the API in one process."""
    import uvicorn

    from app.core.open_files import allow_connections
    from app.core.serving import SERVER_OPTIONS

    settings = checked_settings()
    allow_connections()
    require_free_port(settings.host, settings.port)
    configure_logs(level=settings.log_level, as_json=settings.is_production)
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        reload=reload,
        reload_dirs=[str(ROOT / name) for name in ("app", "db", "settings")] if reload else None,
        reload_includes=["*.py", "*.html", "*.css", "*.js"] if reload else None,
        **SERVER_OPTIONS,
    )


Email = Annotated[str, typer.Argument(help="An address.", metavar="EMAIL")]


@users.command(name="create")
def create_user(
    email: Email,
    *,
    admin: Annotated[bool, typer.Option("--admin", help="As an admin.")] = False,
) -> None:
    """Make an account; its owner logs in by mail, or with a token."""
    from app.cli import users as commands

    commands.create_user(_settings(), email, is_admin=admin)


@users.command(name="list")
def list_users() -> None:
    """Show the accounts."""
    from app.cli import users as commands

    commands.list_users(_settings())


@users.command(name="promote")
def promote_user(email: Email) -> None:
    """Make somebody an admin."""
    from app.cli import users as commands

    commands.promote_user(_settings(), email)


@users.command(name="token")
def create_token(
    email: Email,
    *,
    name: Annotated[str, typer.Option(help="What it is for.")] = "command line",
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it is good for; may be repeated. By default read, ask, ingest."),
    ] = None,
) -> None:
    """Make an API token, which is shown once."""
    from app.cli import users as commands

    asyncio.run(commands.create_token(_settings(), email, name=name, scopes=scope or []))


def _place(path: str, heading_path: Any) -> str:
    return " > ".join([path, *heading_path])


def _settings() -> Settings:
    settings = checked_settings()
    configure_logs(level="WARNING", as_json=settings.is_production)
    return settings


def main() -> None:
    """Run a command; what went wrong is one plain sentence and exit code 1."""
    # Loading modules makes many objects and no garbage: looking for some every 700 objects, and
    # once more at the end, is a third of a short command's time.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    try:
        cli()
    except (AppError, StartupError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
