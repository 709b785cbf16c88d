"""Routes about sources."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, status

from app.accounts.dependencies import IngesterDep, ReaderDep
from app.accounts.idempotency import claiming
from app.core.dependencies import DatabaseDep, SettingsDep
from app.core.idempotency import Claim
from app.core.models import ErrorResponse
from app.core.paging import link_to_next_page
from app.knowledge.ingestions.models import Ingestion
from app.knowledge.sources import services
from app.knowledge.sources.models import NewSource, Source, SourceChange, SyncedSource

__all__ = ["router"]

FAILURES: dict[int | str, dict[str, Any]] = {
    422: {"model": ErrorResponse, "description": "The request is not valid."},
    503: {"model": ErrorResponse, "description": "The database is unavailable."},
}
NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorResponse, "description": "There is no such source."}
}
CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": ErrorResponse, "description": "There is such a source already, or it is busy."}
}

router = APIRouter(prefix="/v1/sources", tags=["sources"], responses=FAILURES)


def _location(source: Source) -> str:
    return f"/v1/sources/{source.id}"


def _location_of_run(ingestion: Ingestion) -> str:
    return f"/v1/ingestions/{ingestion.id}"


@router.post("", status_code=status.HTTP_201_CREATED, responses=CONFLICT)
async def create_source(
    new: NewSource,
    response: Response,
    caller: IngesterDep,
    database: DatabaseDep,
    settings: SettingsDep,
    claim: Annotated[Claim, Depends(claiming(_location), scope="function")],
) -> SyncedSource:
    """Name a folder, a repository or a site, and begin to ingest it."""
    source = await services.create(database, settings, caller, new, claim)
    response.headers["Location"] = _location(source)
    return source


@router.get("")
async def list_sources(
    request: Request,
    response: Response,
    caller: ReaderDep,
    database: DatabaseDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[
        str | None, Query(description="From the `Link` header of the page before.")
    ] = None,
) -> list[Source]:
    """The caller's sources and shared ones, oldest first; `Link` leads to the next page."""
    page, following = await services.find_page(database, caller, limit=limit, cursor=cursor)
    link_to_next_page(request, response, following)
    return page


@router.get("/{source_id}", responses=NOT_FOUND)
async def get_source(source_id: UUID, caller: ReaderDep, database: DatabaseDep) -> Source:
    """One source."""
    return await services.find(database, caller, source_id)


@router.patch("/{source_id}", responses=NOT_FOUND | CONFLICT)
async def update_source(
    source_id: UUID,
    change: SourceChange,
    caller: IngesterDep,
    database: DatabaseDep,
    settings: SettingsDep,
) -> Source:
    """Change a source; the next sync does what follows from it."""
    return await services.update(database, settings, caller, source_id, change)


@router.delete(
    "/{source_id}", status_code=status.HTTP_204_NO_CONTENT, responses=NOT_FOUND | CONFLICT
)
async def delete_source(source_id: UUID, caller: IngesterDep, database: DatabaseDep) -> None:
    """Remove a source with all of its documents; no search finds them from now on."""
    await services.delete(database, caller, source_id)


@router.post(
    "/{source_id}/sync", status_code=status.HTTP_202_ACCEPTED, responses=NOT_FOUND | CONFLICT
)
async def sync_source(
    source_id: UUID,
    response: Response,
    caller: IngesterDep,
    database: DatabaseDep,
    claim: Annotated[Claim, Depends(claiming(_location_of_run), scope="function")],
) -> Ingestion:
    """Ingest what has changed; a run that is under way is joined."""
    ingestion = await services.sync(database, caller, source_id, claim)
    response.headers["Location"] = _location_of_run(ingestion)
    return ingestion
