"""Creating, changing, syncing and deleting sources."""

import json
from typing import Any
from uuid import UUID

from anyio import to_thread

from app.accounts.exceptions import Forbidden
from app.accounts.models import Caller
from app.core.database import Database, Queries
from app.core.exceptions import Conflict, InvalidRequest, NotFound
from app.core.idempotency import NO_CLAIM, Claim
from app.core.paging import decode_cursor, encode_cursor
from app.knowledge.connectors.config import AutoConfig, NewSourceConfig, SourceConfig
from app.knowledge.connectors.naming import named_source, without_git
from app.knowledge.exceptions import SourceNotYours, SourceUnusable
from app.knowledge.ingestions.models import Ingestion
from app.knowledge.ingestions.schedule import begin_run
from app.knowledge.ingestions.services import IngestionActive, cancel_all
from app.knowledge.source_names import public_name
from app.knowledge.sources.locations import location_of
from app.knowledge.sources.models import (
    NewSource,
    Source,
    SourceChange,
    SyncedSource,
    every_text,
    seconds,
)
from app.knowledge.sources.permissions import require_operator
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


async def create(
    database: Database,
    settings: Settings,
    caller: Caller,
    new: NewSource,
    claim: Claim = NO_CLAIM,
) -> SyncedSource:
    """Create a source and begin to ingest it.

    Raises:
        Forbidden: the operator's folders and tokens are for admins.
        InvalidRequest: it could never be read.
        Conflict: the caller has such a source; `details.source_id` says which.
    """
    await claim.take(new)
    config = _chosen(caller, new.config)
    location = await _checked_location(settings, caller, config)
    return await database.run(_create, caller, new, config, location, claim)


async def find(database: Database, caller: Caller, source_id: UUID) -> Source:
    """Return a source.

    Raises:
        NotFound: there is none that the caller may read.
    """
    return Source(**_shown(caller, await database.run_statement(_find, caller, source_id)))


async def find_page(
    database: Database, caller: Caller, *, limit: int, cursor: str | None
) -> tuple[list[Source], str | None]:
    """Return a page of what the caller may read, oldest first, and the cursor of the next page."""
    time, last_id = decode_cursor(cursor)
    rows = await database.run_statement(
        lambda queries: list(
            queries.list_sources(
                account_id=caller.account_id, after_time=time, after_id=last_id, limit=limit + 1
            )
        )
    )
    page = [Source(**_shown(caller, row)) for row in rows[:limit]]
    more = len(rows) > limit
    return page, encode_cursor(page[-1].created_at, page[-1].id) if more else None


async def update(
    database: Database,
    settings: Settings,
    caller: Caller,
    source_id: UUID,
    change: SourceChange,
) -> Source:
    """Change a source; the next sync does what follows from it.

    Raises:
        NotFound: there is none that the caller may read.
        Forbidden: it is somebody else's; or the operator's folders and tokens are for admins.
        InvalidRequest: it could never be read, or is of another kind.
        Conflict: there is another such source.
    """
    location = None
    if change.config is not None:
        location = await _checked_location(settings, caller, change.config)
    row = await database.run(_update, caller, source_id, change, location)
    return Source(**_shown(caller, row))


async def sync(
    database: Database, caller: Caller, source_id: UUID, claim: Claim = NO_CLAIM
) -> Ingestion:
    """Begin to ingest a source again, or join the run that is under way.

    Raises:
        NotFound: there is none that the caller may read.
        Forbidden: it is somebody else's.
    """
    await claim.take()
    return await database.run(_sync, caller, source_id, claim)


async def delete(database: Database, caller: Caller, source_id: UUID) -> None:
    """Remove a source with everything that came from it; what is under way over it ends.

    Raises:
        NotFound: there is none that the caller may read.
        Forbidden: it is somebody else's.
    """
    await database.run(_delete, caller, source_id)


def _chosen(caller: Caller, config: NewSourceConfig) -> SourceConfig:
    """Return what is to be read, where the request left the kind to us."""
    if not isinstance(config, AutoConfig):
        return config
    named = named_source(config)
    # Git reaches more hosts than GitHub's API and has no hourly limit, but is for admins.
    return named if caller.is_admin else without_git(named)


async def _checked_location(settings: Settings, caller: Caller, config: SourceConfig) -> str:
    """Return what tells this source from others, after all that can be checked beforehand."""
    require_operator(caller, config)
    try:
        return await to_thread.run_sync(location_of, config, settings, settings.ingest_roots)
    except SourceUnusable as error:
        raise InvalidRequest(f"config: {error}") from error


def _create(
    queries: Queries,
    caller: Caller,
    new: NewSource,
    config: SourceConfig,
    location: str,
    claim: Claim,
) -> SyncedSource:
    row = queries.insert_source(
        account_id=caller.account_id,
        visibility=new.visibility or caller.default_visibility,
        kind=config.kind,
        location=location,
        name=new.name or location,
        config=config.model_dump_json(),
        every_sec=seconds(new.every),
        by_operator=False,
    )
    if row is None:
        _refuse_twin(queries, caller, caller.account_id, config.kind, location)
    ingestion = begin_run(queries, row["id"])[0] if new.sync else None
    source = SyncedSource(
        **_shown(caller, _find(queries, caller, row["id"])),
        ingestion=Ingestion.shown_to(caller, ingestion) if ingestion else None,
    )
    return claim.complete(queries, source)


def _find(queries: Queries, caller: Caller, source_id: UUID) -> dict[str, Any]:
    row: dict[str, Any] | None = queries.find_source(
        source_id=source_id, account_id=caller.account_id
    )
    if row is None:
        raise SourceNotFound
    return row


def _shown(caller: Caller, row: dict[str, Any]) -> dict[str, Any]:
    """Return a source as the caller may see it."""
    shown = row | {"every": every_text(row["every_sec"]), "name": row["name"] or row["location"]}
    if row["mine"] or caller.is_admin:
        return shown
    name = public_name(row["name"], row["location"])
    return shown | {"name": name, "location": None, "config": None}


def _update(
    queries: Queries,
    caller: Caller,
    source_id: UUID,
    change: SourceChange,
    location: str | None,
) -> dict[str, Any]:
    source = _locked(queries, caller, source_id)
    if source["kind"] == "upload":
        raise UploadsStay
    if change.visibility not in (None, source["visibility"]) and not source["mine"]:
        # It would be out of the admin's own sight, and for good if nobody can log in as its owner.
        raise Forbidden("Only the owner of a source changes who reads it.")
    if change.config is not None and list(queries.active_ingestions(source_id=source_id)):
        raise IngestionActive
    if change.config is not None and change.config.kind != source["kind"]:
        raise InvalidRequest(f"config.kind: must stay {source['kind']}; create another source")
    if location is not None and location != source["location"]:
        _refuse_twin(queries, caller, source["account_id"], source["kind"], location)
    config = change.config.model_dump(mode="json") if change.config else source["config"]
    name = source["name"]
    if location is not None and name == source["location"]:
        # Nobody has given it another.
        name = location
    changed = {
        "visibility": change.visibility or source["visibility"],
        "location": location or source["location"],
        "name": change.name or name,
        "every_sec": (
            seconds(change.every) if "every" in change.model_fields_set else source["every_sec"]
        ),
    }
    queries.update_source(
        source_id=source_id,
        config=json.dumps(config),
        # What is read from now on was not named on the command line.
        by_operator=change.config is None,
        **changed,
    )
    return _find(queries, caller, source_id)


def _sync(queries: Queries, caller: Caller, source_id: UUID, claim: Claim) -> Ingestion:
    if _locked(queries, caller, source_id)["kind"] == "upload":
        raise UploadsStay
    row = begin_run(queries, source_id)[0]
    return claim.complete(queries, Ingestion.shown_to(caller, row))


def _delete(queries: Queries, caller: Caller, source_id: UUID) -> None:
    if _locked(queries, caller, source_id)["kind"] == "upload":
        raise UploadsStay
    cancel_all(queries, source_id)
    queries.delete_source(source_id=source_id)
    list(queries.defer_prune_job())


def _locked(queries: Queries, caller: Caller, source_id: UUID) -> dict[str, Any]:
    """Return a source that nobody else changes until the transaction ends."""
    lock = queries.lock_writable_source(
        source_id=source_id, account_id=caller.account_id, is_admin=caller.is_admin
    )
    source = _find(queries, caller, source_id)
    if lock is None:
        raise SourceNotYours
    return source


def _refuse_twin(
    queries: Queries, caller: Caller, owner_id: UUID, kind: str, location: str
) -> None:
    """Refuse a location at which the owner has another source."""
    twin = queries.find_source_by_location(
        owner_id=owner_id, kind=kind, location=location, account_id=caller.account_id
    )
    if twin is not None:
        # To an admin, another's private source stays unnamed.
        raise SourceExists(details={"source_id": str(twin["id"])} if twin["is_readable"] else None)
