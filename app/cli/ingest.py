"""`python -m app ingest`: a run over a source, done here as far as no other worker does it.

The source is listed in this process, so that one in which nothing has changed costs next to
nothing; only what is then left to do is worth starting a worker for. Whoever is killed leaves a run
that the next `ingest`, or any worker, goes on with.
"""

import asyncio
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import typer

from app.accounts.models import LOCAL_ACCOUNT
from app.cli.database import opened_database
from app.cli.outcomes import Outcome
from app.cli.printing import printable
from app.cli.run_progress import RunProgress
from app.core.database import Database, Queries
from app.core.exceptions import InvalidRequest
from app.knowledge.connectors.access import Access
from app.knowledge.connectors.config import FolderConfig, SourceConfig
from app.knowledge.exceptions import FolderError, SourceUnavailable, SourceUnusable
from app.knowledge.index_model import require_model_of_index
from app.knowledge.ingestions.listing import list_source
from app.knowledge.ingestions.schedule import begin_run
from app.knowledge.sources.locations import location_of
from settings import Settings

__all__ = ["ingest_source"]

POLL_SEC = 0.2
# Tidying up begins last, and nobody kills a command that is not done in ten seconds.
ENDING_SEC = 30
LOG_PAGE = 1000

Run = dict[str, Any]


def ingest_source(
    settings: Settings, config: SourceConfig, *, if_empty: bool, watch: bool, as_json: bool
) -> int:
    """Make the knowledge base mirror a source; return the exit code.

    Raises:
        AppError, StartupError: it can't be done; says why.
    """
    folder = Path(config.path) if isinstance(config, FolderConfig) else None
    if watch and not (folder and folder.is_dir()):
        raise InvalidRequest(
            "Only a folder can be watched. For another source, set its `every`, and it is synced "
            "by itself."
        )
    with opened_database(settings) as database:
        if if_empty and database.run_sync(lambda queries: queries.has_documents()):
            if as_json:
                Outcome().report(as_json=True)
            return 0
        sync = functools.partial(_sync, settings, database, config, as_json=as_json)
        if not (watch and folder):
            return sync()
        # Who doesn't watch needs none of it.
        from app.cli.watching import watch_folder  # noqa: PLC0415

        watch_folder(folder, sync, ignored=settings.var_dir)
        return 0


def _sync(settings: Settings, database: Database, config: SourceConfig, *, as_json: bool) -> int:
    """See a run through that begins now, so that it finds what the source has now."""
    database.run_sync(require_model_of_index, settings.embedding_model)
    source_id = _source(settings, database, config)
    while True:
        run, begun = database.run_sync(begin_run, source_id, queue=False)
        if not begun:
            typer.echo("A run over this source is under way. It comes first.", err=True)
        outcome = _outcome(database, _see_through(settings, database, run["id"]))
        # As JSON there is one answer, and that is to what was asked for.
        if begun or not as_json:
            outcome.report(as_json=as_json)
        if begun:
            return outcome.exit_code


def _source(settings: Settings, database: Database, config: SourceConfig) -> UUID:
    try:
        # Who may run this may read anything here.
        location = location_of(config, settings, [Path("/")])
    except SourceUnusable as error:
        raise InvalidRequest(str(error)) from error
    # A typing error should leave no source behind.
    if isinstance(config, FolderConfig) and not Path(location).exists():
        raise FolderError(f"There is no file or folder {printable(location)}.")
    return database.run_sync(_adopt, config, location)


def _adopt(queries: Queries, config: SourceConfig, location: str) -> UUID:
    source_id: UUID = queries.adopt_source(
        account_id=LOCAL_ACCOUNT,
        kind=config.kind,
        location=location,
        config=config.model_dump_json(),
        # Patterns or a token that it has been given otherwise stay.
        given=config.model_dump_json(exclude_unset=True),
    )
    return source_id


def _see_through(settings: Settings, database: Database, ingestion_id: UUID) -> Run:
    with RunProgress() as progress, Access(settings) as access:
        progress.listing()
        try:
            list_source(database, access, str(ingestion_id))
        except SourceUnavailable as error:
            progress.say(f"{error} It is tried again.")
            database.run_sync(
                lambda queries: list(queries.defer_list_job(ingestion_id=str(ingestion_id)))
            )
        run, is_done = database.run_sync(_look, ingestion_id, progress)
        return run if is_done else asyncio.run(_work(settings, ingestion_id, progress))


async def _work(settings: Settings, ingestion_id: UUID, progress: RunProgress) -> Run:
    """Run a worker until a run has ended."""
    # They take a second to load.
    from app.knowledge.model_files import require_model  # noqa: PLC0415
    from app.resources.database import open_database  # noqa: PLC0415
    from app.worker.process import work  # noqa: PLC0415

    # Every document would fail for the lack of it.
    require_model(settings.embedding_model, settings.models_dir)
    async with open_database(settings) as database:
        stop = asyncio.Event()
        worker = asyncio.create_task(work(settings, database, stop, grace_sec=ENDING_SEC))
        try:
            while True:
                run, is_done = await database.run(_look, ingestion_id, progress)
                if is_done or worker.done():
                    return run
                await asyncio.sleep(POLL_SEC)
        finally:
            stop.set()
            await worker


def _look(queries: Queries, ingestion_id: UUID, progress: RunProgress) -> tuple[Run, bool]:
    """Show how far a run is; return it, and whether there is nothing left to do."""
    run: Run | None = queries.find_ingestion(ingestion_id=ingestion_id)
    if run is None:
        raise InvalidRequest("The source was deleted meanwhile.")
    if progress.is_shown and run["state"] not in ("queued", "listing"):
        items = queries.count_fetched_items(ingestion_id=ingestion_id)
        progress.step("Fetching", items["fetched"], items["items"])
    progress.run(run)
    return run, run["finished_at"] is not None and not queries.prune_is_queued()


def _outcome(database: Database, run: Run) -> Outcome:
    outcome = Outcome([run])
    for line in _log(database, run["id"]):
        if line["path"] is not None:
            outcome.note(line["level"], line["path"], line["message"])
    return outcome


def _log(database: Database, ingestion_id: UUID) -> Iterator[dict[str, Any]]:
    after = 0
    while lines := database.run_sync(_log_page, ingestion_id, after):
        yield from lines
        after = lines[-1]["id"]


def _log_page(queries: Queries, ingestion_id: UUID, after: int) -> list[dict[str, Any]]:
    return list(
        queries.list_log(
            ingestion_id=ingestion_id,
            account_id=LOCAL_ACCOUNT,
            is_admin=True,
            after_id=after,
            limit=LOG_PAGE,
        )
    )
