"""Creating, changing, syncing and deleting sources."""

import json
from typing import Any
from uuid import UUID

from anyio import to_thread

from app.core.database import Database, Queries
from app.core.exceptions import Conflict, InvalidRequest, NotFound
from app.core.paging import decode_cursor, encode_cursor
from app.knowledge.connectors.config import SourceConfig
from app.knowledge.exceptions import SourceUnusable
from app.knowledge.ingestions.models import Ingestion
from app.knowledge.ingestions.schedule import begin_run
from app.knowledge.ingestions.services import IngestionActive, cancel_all
from app.knowledge.sources.locations import location_of
from app.knowledge.sources.models import (
    NewSource,
    Source,
    SourceChange,
    SyncedSource,
    every_text,
    seconds,
)
from settings import Settings

__all__ = ["create", "delete", "find", "find_page", "sync", "update"]


class SourceNotFound(NotFound):
    """There is no such source."""

    code = "source_not_found"


class SourceExists(Conflict):
    """There is such a source already."""

    code = "source_exists"


class UploadsStay(Conflict):
    """This is where uploads belong: it has nothing to sync or change. Delete its documents."""

    code = "uploads_stay"


async def create(database: Database, settings: Settings, new: NewSource) -> SyncedSource:
    """Create a source and begin to ingest it.

    Raises:
        InvalidRequest: it could never be read.
        Conflict: there is such a source; `details.source_id` says which.
    """
    location = await _checked_location(settings, new.config)
    return await database.run(_create, new, location)


async def find(database: Database, source_id: UUID) -> Source:
    """Return a source.

    Raises:
        NotFound: there is none.
    """
    return Source(**await database.run_statement(_find, source_id))


async def find_page(
    database: Database, *, limit: int, cursor: str | None
) -> tuple[list[Source], str | None]:
    """Return a page of sources, oldest first, and the cursor of the next page."""
    time, last_id = decode_cursor(cursor)
    rows = await database.run_statement(
        lambda queries: list(
            queries.list_sources(after_time=time, after_id=last_id, limit=limit + 1)
        )
    )
    page = [Source(**_shown(row)) for row in rows[:limit]]
    more = len(rows) > limit
    return page, encode_cursor(page[-1].created_at, page[-1].id) if more else None


async def update(
    database: Database, settings: Settings, source_id: UUID, change: SourceChange
) -> Source:
    """Change a source; the next sync does what follows from it.

    Raises:
        NotFound: there is none.
        InvalidRequest: it could never be read, or is of another kind.
        Conflict: there is another such source.
    """
    location = await _checked_location(settings, change.config) if change.config else None
    return Source(**await database.run(_update, source_id, change, location))


async def sync(database: Database, source_id: UUID) -> Ingestion:
    """Begin to ingest a source again, or join the run that is under way.

    Raises:
        NotFound: there is none.
    """
    return Ingestion(**await database.run(_sync, source_id))


async def delete(database: Database, source_id: UUID) -> None:
    """Remove a source with everything that came from it; what is under way over it ends.

    Raises:
        NotFound: there is none.
    """
    await database.run(_delete, source_id)


async def _checked_location(settings: Settings, config: SourceConfig) -> str:
    """Return what tells this source from others, after all that can be checked beforehand."""
    try:
        return await to_thread.run_sync(location_of, config, settings, settings.ingest_roots)
    except SourceUnusable as error:
        raise InvalidRequest(f"config: {error}") from error


def _create(queries: Queries, new: NewSource, location: str) -> SyncedSource:
    row = queries.insert_source(
        kind=new.config.kind,
        location=location,
        name=new.name or location,
        config=new.config.model_dump_json(),
        every_sec=seconds(new.every),
        by_operator=False,
    )
    if row is None:
        _refuse_twin(queries, new.config.kind, location)
    ingestion = begin_run(queries, row["id"])[0] if new.sync else None
    return SyncedSource(
        **_find(queries, row["id"]), ingestion=Ingestion(**ingestion) if ingestion else None
    )


def _find(queries: Queries, source_id: UUID) -> dict[str, Any]:
    row = queries.find_source(source_id=source_id)
    if row is None:
        raise SourceNotFound
    return _shown(row)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"every": every_text(row["every_sec"]), "name": row["name"] or row["location"]}


def _update(
    queries: Queries, source_id: UUID, change: SourceChange, location: str | None
) -> dict[str, Any]:
    _lock(queries, source_id)
    source = _find(queries, source_id)
    if source["kind"] == "upload":
        raise UploadsStay
    if change.config is not None and list(queries.active_ingestions(source_id=source_id)):
        raise IngestionActive
    if change.config is not None and change.config.kind != source["kind"]:
        raise InvalidRequest(f"config.kind: must stay {source['kind']}; create another source")
    if location is not None and location != source["location"]:
        twin = queries.find_source_by_location(kind=source["kind"], location=location)
        if twin is not None:
            _refuse_twin(queries, source["kind"], location)
    given = change.model_fields_set
    queries.update_source(
        source_id=source_id,
        location=location or source["location"],
        name=change.name or source["name"],
        config=change.config.model_dump_json() if change.config else json.dumps(source["config"]),
        every_sec=seconds(change.every) if "every" in given else source["every_sec"],
        # What is read from now on was not named on the command line.
        by_operator=change.config is None,
    )
    return _find(queries, source_id)


def _sync(queries: Queries, source_id: UUID) -> dict[str, Any]:
    _lock(queries, source_id)
    if _find(queries, source_id)["kind"] == "upload":
        raise UploadsStay
    return begin_run(queries, source_id)[0]


def _delete(queries: Queries, source_id: UUID) -> None:
    _lock(queries, source_id)
    if _find(queries, source_id)["kind"] == "upload":
        raise UploadsStay
    cancel_all(queries, source_id)
    queries.delete_source(source_id=source_id)
    list(queries.defer_prune_job())


def _lock(queries: Queries, source_id: UUID) -> None:
    if queries.lock_source(source_id=source_id) is None:
        raise SourceNotFound


def _refuse_twin(queries: Queries, kind: str, location: str) -> None:
    twin = queries.find_source_by_location(kind=kind, location=location)
    raise SourceExists(details={"source_id": str(twin)})
