"""Runs that begin: because somebody asked, or because it is time."""

from typing import Any
from uuid import UUID

from app.core.database import Queries
from app.core.origin import origin
from app.knowledge.ingestions.transitions import finish_if_done, open_run

__all__ = ["begin_due", "begin_run", "resume_forsaken"]


def begin_run(
    queries: Queries,
    source_id: UUID,
    *,
    cause: str = "request",
    everything: bool = False,
    queue: bool = True,
) -> tuple[dict[str, Any], bool]:
    """Begin a run over a source, or join the one that is under way; also tell whether it is new.

    If that one has looked at the source already, another one follows it by itself. Without `queue`
    the caller lists the source itself; should it die, `resume_forsaken` queues it.
    """
    ingestion_id = None
    begun = False
    while ingestion_id is None:
        ingestion_id = queries.insert_ingestion(
            source_id=source_id, cause=cause, everything=everything, origin=origin()
        )
        begun = ingestion_id is not None
        if begun and queue:
            list(queries.defer_list_job(ingestion_id=str(ingestion_id)))
        elif not begun:
            # None again if it has just ended: then this one can begin.
            ingestion_id = queries.active_ingestion(source_id=source_id)
            if ingestion_id is not None and queue:
                queries.ask_again(ingestion_id=ingestion_id)
    return queries.find_ingestion(ingestion_id=ingestion_id), begun


def begin_due(queries: Queries) -> None:
    """Queue a run over every source whose time has come."""
    for row in list(queries.insert_due_ingestions()):
        list(queries.defer_list_job(ingestion_id=str(row["id"])))


def resume_forsaken(queries: Queries) -> None:
    """Queue what is left of runs that no job works for any more."""
    for row in list(queries.forsaken_ingestions()):
        ingestion_id = str(row["id"])
        if open_run(queries, ingestion_id, "queued", "listing"):
            list(queries.defer_list_job(ingestion_id=ingestion_id))
        elif open_run(queries, ingestion_id):
            list(queries.defer_document_jobs(ingestion_id=ingestion_id, paths=None))
            finish_if_done(queries, ingestion_id)
