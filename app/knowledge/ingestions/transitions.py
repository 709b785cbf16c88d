"""How a run and its items go from state to state, each time inside one transaction.

Every function here is called with the run open: its source and the run itself are locked, in this
order, so nothing changes under it, and a run that was cancelled or deleted meanwhile is noticed.
"""

import json
from typing import Any

from app.core.database import Queries
from app.core.origin import origin

__all__ = ["finish_if_done", "finish_item", "log", "open_run", "store_failure"]


def open_run(queries: Queries, ingestion_id: str, *states: str) -> bool:
    """Lock a run and its source; False when it is gone, or in none of `states`."""
    queries.lock_source_of(ingestion_id=ingestion_id)
    return queries.lock_ingestion(ingestion_id=ingestion_id) in (states or ("running",))


def finish_item(
    queries: Queries,
    ingestion_id: str,
    path: str,
    state: str,
    *,
    error: str | None = None,
    **counts: int,
) -> None:
    """End an item, count it under its state, and end the run with its last item."""
    finished = queries.finish_item(
        ingestion_id=ingestion_id,
        path=path,
        state=state,
        error=error,
        # A retry goes on from what was fetched.
        keep_content=state == "failed",
    )
    if not finished:
        return
    _count(queries, ingestion_id, **{state: 1}, **counts)
    if error is not None:
        log(queries, ingestion_id, error, level=_LEVELS.get(state, "info"), path=path)
    finish_if_done(queries, ingestion_id)


def finish_if_done(queries: Queries, ingestion_id: str) -> None:
    """End a run that has nothing left to do, and remove what has vanished from its source."""
    if queries.has_open_items(ingestion_id=ingestion_id):
        return
    run = queries.ingestion_of(ingestion_id=ingestion_id)
    if run["kind"] == "web" and _has_unmet_pages(queries, ingestion_id, run):
        return
    deleted = queries.delete_vanished_documents(
        ingestion_id=ingestion_id, source_id=run["source_id"]
    )
    queries.finish_vanished_items(ingestion_id=ingestion_id)
    _count(queries, ingestion_id, deleted=deleted)
    found = queries.find_ingestion(ingestion_id=ingestion_id)
    state = "incomplete" if found["failed"] else "succeeded"
    ended = queries.finish_ingestion(ingestion_id=ingestion_id, state=state, error=None)
    if state == "succeeded" and ended["source_state"] is not None:
        # Not after failures: the next run must look again, even at the same commit.
        queries.set_source_state(
            source_id=run["source_id"], state=json.dumps(ended["source_state"])
        )
    if deleted or found["stored"] or found["deleted"]:
        list(queries.defer_prune_job())
    log(queries, ingestion_id, _summary(found))
    _begin_again(queries, run)


def store_failure(queries: Queries, ingestion_id: str, message: str) -> None:
    """End a run that could not be listed."""
    run = queries.ingestion_of(ingestion_id=ingestion_id)
    queries.finish_ingestion(ingestion_id=ingestion_id, state="failed", error=message)
    log(queries, ingestion_id, message, level="error")
    _begin_again(queries, run)


def log(
    queries: Queries,
    ingestion_id: str,
    message: str,
    *,
    level: str = "info",
    path: str | None = None,
) -> None:
    """Note what happened, for people."""
    queries.insert_log(ingestion_id=ingestion_id, level=level, path=path, message=message)


_LEVELS = {"failed": "error", "skipped": "warning"}
_COUNTS = ("listed", "unchanged", "stored", "deleted", "skipped", "failed", "passages", "embedded")


def _count(queries: Queries, ingestion_id: str, **counts: int) -> None:
    queries.count_results(
        ingestion_id=ingestion_id, **{name: counts.get(name, 0) for name in _COUNTS}
    )


def _has_unmet_pages(queries: Queries, ingestion_id: str, run: dict[str, Any]) -> bool:
    """Queue the pages that a crawl has not met: only a page's own answer tells that it is gone.

    It may just be linked from one that could not be read, or stand too deep this time.
    """
    unmet = queries.insert_unmet_items(
        ingestion_id=ingestion_id, source_id=run["source_id"], depth=run["config"]["max_depth"]
    )
    if unmet:
        _count(queries, ingestion_id, listed=unmet)
        list(queries.defer_document_jobs(ingestion_id=ingestion_id, paths=None))
    return bool(unmet)


def _begin_again(queries: Queries, run: dict[str, Any]) -> None:
    """Begin the next run, if somebody asked for one when this one had looked already."""
    if run["again"]:
        ingestion_id = queries.insert_ingestion(
            source_id=run["source_id"], cause="request", everything=False, origin=origin()
        )
        if ingestion_id is not None:
            list(queries.defer_list_job(ingestion_id=str(ingestion_id)))


def _summary(found: dict[str, Any]) -> str:
    names = ("listed", "unchanged", "stored", "deleted", "skipped", "failed")
    parts = [f"{found[name]} {name}" for name in names if found[name]]
    return ", ".join(parts) or "nothing to do"
