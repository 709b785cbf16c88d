"""Routes about ingestions."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response, status
from pydantic import AfterValidator

from app.accounts.dependencies import IngesterDep, ReaderDep, StreamDep
from app.accounts.idempotency import ClaimDep, claiming
from app.core.dependencies import DatabaseDep
from app.core.idempotency import Claim
from app.core.models import ErrorResponse
from app.core.paging import link_to_next_page
from app.core.streaming import EventStream
from app.core.text import storable
from app.knowledge.ingestions import services
from app.knowledge.ingestions.following import RunWatchDep
from app.knowledge.ingestions.models import Ingestion, IngestionState, Item, ItemState, LogLine

__all__ = ["router"]

FAILURES: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorResponse, "description": "There is no such ingestion."},
    422: {"model": ErrorResponse, "description": "The request is not valid."},
    503: {"model": ErrorResponse, "description": "The database is unavailable."},
}
CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": ErrorResponse, "description": "Its state doesn't allow that."}
}
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events: `log` for each line, `progress` for each change, then "
        "`done`. A client that connects again with `Last-Event-ID` misses no line.",
        "content": {"text/event-stream": {"example": 'event: progress\ndata: {"state": "…"}\n\n'}},
    }
}
# Then the reader connects again.
LONGEST_STREAM_SEC = 3600

router = APIRouter(prefix="/v1/ingestions", tags=["ingestions"], responses=FAILURES)
Limit = Annotated[int, Query(ge=1, le=1000)]


def _location(ingestion: Ingestion) -> str:
    return f"/v1/ingestions/{ingestion.id}"


@router.get("")
async def list_ingestions(
    request: Request,
    response: Response,
    caller: ReaderDep,
    database: DatabaseDep,
    source_id: UUID | None = None,
    state: IngestionState | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[
        str | None, Query(description="From the `Link` header of the page before.")
    ] = None,
) -> list[Ingestion]:
    """Runs over what the caller may read, newest first; `Link` leads to the next page."""
    page, following = await services.find_page(
        database, caller, source_id=source_id, state=state, limit=limit, cursor=cursor
    )
    link_to_next_page(request, response, following)
    return page


@router.get("/{ingestion_id}")
async def get_ingestion(ingestion_id: UUID, caller: ReaderDep, database: DatabaseDep) -> Ingestion:
    """One run, with its counts."""
    return await services.find(database, caller, ingestion_id)


@router.get("/{ingestion_id}/items")
async def list_items(
    ingestion_id: UUID,
    caller: ReaderDep,
    database: DatabaseDep,
    state: ItemState | None = None,
    limit: Limit = 200,
    after: Annotated[
        str | None, Query(description="The last path of the page before."), AfterValidator(storable)
    ] = None,
) -> list[Item]:
    """The documents of a run, by path; those with an unchanged version are not among them."""
    return await services.items(
        database, caller, ingestion_id, state=state, limit=limit, after=after
    )


@router.get("/{ingestion_id}/log")
async def list_log(
    ingestion_id: UUID,
    caller: ReaderDep,
    database: DatabaseDep,
    limit: Limit = 200,
    after: Annotated[int, Query(description="The last id of the page before.")] = 0,
) -> list[LogLine]:
    """What has happened in a run."""
    return await services.log_lines(database, caller, ingestion_id, after=after, limit=limit)


@router.get("/{ingestion_id}/events", response_class=EventStream, responses=STREAM)
async def follow_ingestion(
    ingestion_id: UUID,
    caller: ReaderDep,
    database: DatabaseDep,
    runs: RunWatchDep,
    stream: StreamDep,
    last_event_id: Annotated[int, Header(ge=0)] = 0,
) -> EventStream:
    """Follow a run as server-sent events until it ends."""
    await services.find(database, caller, ingestion_id)
    events = runs.follow(caller, ingestion_id, after=last_event_id)
    return stream(events, limit_sec=LONGEST_STREAM_SEC)


@router.post("/{ingestion_id}/cancel")
async def cancel_ingestion(
    ingestion_id: UUID, caller: IngesterDep, database: DatabaseDep
) -> Ingestion:
    """Stop a run; what it has stored stays."""
    return await services.cancel(database, caller, ingestion_id)


@router.post("/{ingestion_id}/retry", status_code=status.HTTP_202_ACCEPTED, responses=CONFLICT)
async def retry_ingestion(
    ingestion_id: UUID, caller: IngesterDep, database: DatabaseDep, claim: ClaimDep
) -> Ingestion:
    """Try again what failed, in the same run."""
    return await services.retry(database, caller, ingestion_id, claim)


@router.post("/{ingestion_id}/replay", status_code=status.HTTP_202_ACCEPTED, responses=CONFLICT)
async def replay_ingestion(
    ingestion_id: UUID,
    response: Response,
    caller: IngesterDep,
    database: DatabaseDep,
    claim: Annotated[Claim, Depends(claiming(_location), scope="function")],
) -> Ingestion:
    """Begin a new run over the same source, which stores everything again."""
    ingestion = await services.replay(database, caller, ingestion_id, claim)
    response.headers["Location"] = _location(ingestion)
    return ingestion
