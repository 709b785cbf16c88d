"""Beginning, showing, cancelling and repeating runs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from app.accounts.models import Caller
from app.core.database import Database, Queries
from app.core.exceptions import Conflict, NotFound
from app.core.idempotency import NO_CLAIM, Claim
from app.core.origin import origin
from app.core.paging import decode_cursor, encode_cursor
from app.knowledge.exceptions import SourceNotYours
from app.knowledge.ingestions.models import Ingestion, IngestionState, Item, ItemState, LogLine
from app.knowledge.ingestions.schedule import begin_run
from app.knowledge.ingestions.transitions import log, open_run

__all__ = [
    "LINES_AT_ONCE",
    "IngestionActive",
    "cancel",
    "cancel_all",
    "find",
    "find_page",
    "items",
    "log_lines",
    "look",
    "replay",
    "retry",
]

ACTIVE = ("queued", "listing", "running")
LINES_AT_ONCE = 1000


class IngestionNotFound(NotFound):
    """There is no such ingestion."""

    code = "ingestion_not_found"


class IngestionActive(Conflict):
    """A run over this source is under way: wait for its end, or cancel it."""

    code = "ingestion_active"


class IngestionOutdated(Conflict):
    """There is a later run over this source: retry that one, or sync the source."""

    code = "ingestion_outdated"


class NothingToRetry(Conflict):
    """Nothing of this run has failed, or it has not ended yet."""

    code = "nothing_to_retry"


async def find(database: Database, caller: Caller, ingestion_id: UUID) -> Ingestion:
    """Return a run as it is now.

    Raises:
        NotFound: there is none that the caller may read.
    """
    return Ingestion.shown_to(caller, await database.run_statement(_find, caller, ingestion_id))


async def find_page(
    database: Database,
    caller: Caller,
    *,
    source_id: UUID | None,
    state: IngestionState | None,
    limit: int,
    cursor: str | None,
) -> tuple[list[Ingestion], str | None]:
    """Return a page of what the caller may read, newest first, and the cursor of the next page."""
    time, last_id = decode_cursor(cursor)
    rows = await database.run_statement(_page, caller, source_id, state, time, last_id, limit + 1)
    page = [Ingestion.shown_to(caller, row) for row in rows[:limit]]
    more = len(rows) > limit
    return page, encode_cursor(page[-1].created_at, page[-1].id) if more else None


async def items(
    database: Database,
    caller: Caller,
    ingestion_id: UUID,
    *,
    state: ItemState | None,
    limit: int,
    after: str | None,
) -> list[Item]:
    """Return a page of a run's documents, by path.

    Raises:
        NotFound: there is no such run that the caller may read.
    """
    rows = await database.run(_items, caller, ingestion_id, state, limit, after)
    return [Item(**row) for row in rows]


async def log_lines(
    database: Database, caller: Caller, ingestion_id: UUID, *, after: int, limit: int
) -> list[LogLine]:
    """Return what has happened in a run, after a line.

    Raises:
        NotFound: there is no such run that the caller may read.
    """
    rows = await database.run(_log, caller, ingestion_id, after, limit)
    return [LogLine(**row) for row in rows]


async def cancel(database: Database, caller: Caller, ingestion_id: UUID) -> Ingestion:
    """Stop a run; what it has stored stays. A run that has ended is left alone.

    Raises:
        NotFound: there is none that the caller may read.
        Forbidden: it is over somebody else's source.
    """
    return Ingestion.shown_to(caller, await database.run(_cancel, caller, ingestion_id))


async def retry(
    database: Database, caller: Caller, ingestion_id: UUID, claim: Claim = NO_CLAIM
) -> Ingestion:
    """Try again what failed, in the same run.

    Raises:
        NotFound: there is none that the caller may read.
        Forbidden: it is over somebody else's source.
        Conflict: nothing has failed, or there is a later run over the source.
    """
    await claim.take()
    return await database.run(_retry, caller, ingestion_id, claim)


async def replay(
    database: Database, caller: Caller, ingestion_id: UUID, claim: Claim = NO_CLAIM
) -> Ingestion:
    """Begin a new run like this one, which stores everything again.

    Raises:
        NotFound: there is none that the caller may read.
        Forbidden: it is over somebody else's source.
        Conflict: another run over the source is under way.
    """
    await claim.take()
    return await database.run(_replay, caller, ingestion_id, claim)


def look(
    queries: Queries, caller: Caller, ingestion_id: UUID, after: int
) -> tuple[Ingestion, list[LogLine]]:
    """Return a run as it is now, and its next lines.

    Raises:
        NotFound: there is none that the caller may read.
    """
    # The run first: what it logged before its end is then among the lines.
    current = Ingestion.shown_to(caller, _find(queries, caller, ingestion_id))
    rows = _lines(queries, caller, ingestion_id, after, LINES_AT_ONCE)
    return current, [LogLine(**row) for row in rows]


def cancel_all(queries: Queries, source_id: UUID) -> None:
    """Stop all that is under way over a source that is locked."""
    for row in list(queries.active_ingestions(source_id=source_id)):
        _end(queries, row["id"])


def _find(queries: Queries, caller: Caller, ingestion_id: UUID) -> dict[str, Any]:
    row: dict[str, Any] | None = queries.find_readable_ingestion(
        ingestion_id=ingestion_id, account_id=caller.account_id
    )
    if row is None:
        raise IngestionNotFound
    return row


def _locked(queries: Queries, caller: Caller, ingestion_id: UUID) -> dict[str, Any]:
    """Return a run whose source nobody else changes until the transaction ends."""
    lock = queries.lock_writable_source_of(
        ingestion_id=ingestion_id, account_id=caller.account_id, is_admin=caller.is_admin
    )
    row = _find(queries, caller, ingestion_id)
    if lock is None:
        raise SourceNotYours
    return row


def _page(
    queries: Queries,
    caller: Caller,
    source_id: UUID | None,
    state: str | None,
    time: datetime | None,
    last_id: UUID | None,
    limit: int,
) -> list[dict[str, Any]]:
    return list(
        queries.list_ingestions(
            account_id=caller.account_id,
            source_id=source_id,
            state=state,
            before_time=time,
            before_id=last_id,
            limit=limit,
        )
    )


def _items(
    queries: Queries,
    caller: Caller,
    ingestion_id: UUID,
    state: str | None,
    limit: int,
    after: str | None,
) -> list[dict[str, Any]]:
    _find(queries, caller, ingestion_id)
    return list(
        queries.list_items(
            ingestion_id=ingestion_id,
            account_id=caller.account_id,
            state=state,
            limit=limit,
            after=after,
        )
    )


def _log(
    queries: Queries, caller: Caller, ingestion_id: UUID, after: int, limit: int
) -> list[dict[str, Any]]:
    _find(queries, caller, ingestion_id)
    return _lines(queries, caller, ingestion_id, after, limit)


def _lines(
    queries: Queries, caller: Caller, ingestion_id: UUID, after: int, limit: int
) -> list[dict[str, Any]]:
    return list(
        queries.list_log(
            ingestion_id=ingestion_id,
            account_id=caller.account_id,
            is_admin=caller.is_admin,
            after_id=after,
            limit=limit,
        )
    )


def _cancel(queries: Queries, caller: Caller, ingestion_id: UUID) -> dict[str, Any]:
    _locked(queries, caller, ingestion_id)
    _end(queries, ingestion_id)
    return _find(queries, caller, ingestion_id)


def _end(queries: Queries, ingestion_id: UUID) -> None:
    if open_run(queries, str(ingestion_id), *ACTIVE):
        queries.finish_ingestion(ingestion_id=ingestion_id, state="cancelled", error=None)
        queries.cancel_items(ingestion_id=ingestion_id)
        list(queries.cancel_jobs(ingestion_id=str(ingestion_id)))
        log(queries, str(ingestion_id), "cancelled", level="warning")


def _retry(queries: Queries, caller: Caller, ingestion_id: UUID, claim: Claim) -> Ingestion:
    _locked(queries, caller, ingestion_id)
    if not open_run(queries, str(ingestion_id), "failed", "incomplete"):
        raise NothingToRetry
    run = queries.ingestion_of(ingestion_id=ingestion_id)
    if queries.has_later_ingestion(ingestion_id=ingestion_id):
        # What this one has kept would replace what that one has stored.
        raise IngestionOutdated
    if run["state"] == "failed":
        queries.reopen_ingestion(ingestion_id=ingestion_id, state="queued", origin=origin())
        list(queries.defer_list_job(ingestion_id=str(ingestion_id)))
    else:
        queries.reopen_ingestion(ingestion_id=ingestion_id, state="running", origin=origin())
        queries.retry_items(ingestion_id=ingestion_id)
        list(queries.defer_document_jobs(ingestion_id=ingestion_id, paths=None))
    log(queries, str(ingestion_id), "trying again what failed")
    row = _find(queries, caller, ingestion_id)
    return claim.complete(queries, Ingestion.shown_to(caller, row))


def _replay(queries: Queries, caller: Caller, ingestion_id: UUID, claim: Claim) -> Ingestion:
    source_id = _locked(queries, caller, ingestion_id)["source_id"]
    row, begun = begin_run(queries, source_id, cause="replay", everything=True)
    if not begun:
        raise IngestionActive
    return claim.complete(queries, Ingestion.shown_to(caller, row))
