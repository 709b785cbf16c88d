"""The command line: `python -m app`."""

import asyncio
import atexit
import gc
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Self

import typer
from pydantic import ValidationError

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

# Imports stand in the commands that need them: models and clients take most of a second to load.
# ruff: noqa: PLC0415


@cli.command()
def ingest(
    path: Annotated[
        Path, typer.Argument(help="A folder of .md, .mdx and .txt files, or one file.")
    ],
    *,
    if_empty: Annotated[
        bool, typer.Option("--if-empty", help="Only when the knowledge base has no documents yet.")
    ] = False,
) -> None:
    """Make the knowledge base mirror a folder: new and changed files in, vanished ones out."""
    settings = _settings()
    try:
        asyncio.run(_ingest(settings, path, if_empty=if_empty))
    except KeyboardInterrupt:
        print("Interrupted. What was stored stays; run it again to go on.", file=sys.stderr)
        raise typer.Exit(130) from None


async def _ingest(settings: Settings, path: Path, *, if_empty: bool) -> None:
    from app.knowledge.ingestion import ingest_folder
    from app.resources.database import open_database
    from app.resources.embedder import load_embedder

    async with open_database(settings) as database:
        if if_empty and await database.run(lambda queries: queries.has_documents()):
            return
        with BarProgress("files") as progress:
            report = await ingest_folder(
                database,
                lambda: load_embedder(settings),
                path,
                model=settings.embedding_model,
                max_bytes=settings.max_document_bytes,
                progress=progress,
            )
    for skipped in report.skipped:
        print(f"skipped  {skipped.path}: {skipped.reason}", file=sys.stderr)
    for name, note in report.notes:
        print(f"note     {name}: {note}", file=sys.stderr)
    print(
        f"{report.stored} stored ({report.passages} passages, {report.embedded} embedded), "
        f"{report.unchanged} unchanged, {report.removed} removed, {len(report.skipped)} skipped"
    )


@cli.command()
def ask(question: Annotated[str, typer.Argument(help="What you want to know.")]) -> None:
    """Answer a question from the documents."""
    asyncio.run(_ask(_settings(), question))


async def _ask(settings: Settings, question: str) -> None:
    from app.chat.models import MessageRequest
    from app.resources.service import open_resources

    try:
        request = MessageRequest(message=question)
    except ValidationError as error:
        raise InvalidRequest(
            f"The question {error.errors()[0]['msg'].split(', ', 1)[-1]}."
        ) from None
    async with open_resources(settings) as resources:
        answer = await resources.chat.ask(request)
    print(answer.message)
    for source in answer.sources:
        if f"[{source.number}]" in answer.message:
            print(f"[{source.number}] {_place(source.path, source.heading_path)}")


@cli.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=50)] = 5,
) -> None:
    """Show the passages that fit a query best."""
    asyncio.run(_search(_settings(), query, limit))


async def _search(settings: Settings, query: str, limit: int) -> None:
    from app.resources.service import open_resources

    async with open_resources(settings) as resources:
        passages = await resources.retriever.search(query, limit=limit)
    for passage in passages:
        print(f"{passage.score:.3f}  {_place(passage.path, passage.heading_path)}")
        print("       " + " ".join(passage.text.split())[:200])
    if not passages:
        print("Nothing found. Is anything ingested? Try: python -m app ingest PATH")


@cli.command()
def prepare() -> None:
    """Prepare the embedding model, once per machine."""
    from app.knowledge.model_files import prepare_model

    settings = _settings()
    with BarProgress("steps") as progress:
        prepare_model(settings.embedding_model, settings.models_dir, progress.stage)
    print(f"{settings.embedding_model} is ready.")


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

    settings = checked_settings()
    require_free_port(settings.host, settings.port)
    configure_logs(level=settings.log_level, as_json=settings.is_production)
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        reload=reload,
        reload_dirs=[str(ROOT / name) for name in ("app", "db", "settings")] if reload else None,
        # create_app configures logs, uvicorn's own included.
        log_config=None,
        timeout_graceful_shutdown=10,
    )


class BarProgress:
    """A bar on standard error, with rate and time left, when somebody is looking."""

    def __init__(self, unit: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as TimeLeft

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(f"{unit}, {{task.fields[rate]}}"),
            TimeLeft(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("Starting", total=None, rate="")
        self._passages = 0
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave it as it stands."""
        self._bar.stop()

    def start(self, files: int) -> None:
        """Begin an ingestion."""
        self._bar.update(self._task, description="Ingesting", total=files)

    def advance(self, files: int, passages: int) -> None:
        """Go on with an ingestion."""
        self._passages += passages
        seconds = max(time.monotonic() - self._started, 0.001)
        rate = f"{self._passages} passages, {self._passages / seconds:.0f}/s"
        self._bar.update(self._task, advance=files, rate=rate)

    def stage(self, name: str, done: int, total: int) -> None:
        """Go on with preparing a model."""
        self._bar.update(self._task, description=name.capitalize(), completed=done, total=total)


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
