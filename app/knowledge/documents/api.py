"""Routes about documents."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, status
from pydantic import AfterValidator

from app.accounts.dependencies import IngesterDep, ReaderDep
from app.accounts.idempotency import claiming
from app.core.dependencies import DatabaseDep
from app.core.idempotency import Claim
from app.core.models import ErrorResponse
from app.core.paging import link_to_next_page
from app.core.text import storable
from app.knowledge.documents import services
from app.knowledge.documents.models import AcceptedDocuments, Document, DocumentText
from app.knowledge.documents.reading import BODY, read_upload, read_uploads

__all__ = ["router"]

FAILURES: dict[int | str, dict[str, Any]] = {
    422: {"model": ErrorResponse, "description": "The request is not valid."},
    503: {"model": ErrorResponse, "description": "The database or the disk is unavailable."},
}
TOO_LARGE: dict[int | str, dict[str, Any]] = {
    413: {"model": ErrorResponse, "description": "Larger than MAX_UPLOAD_BYTES."},
    415: {"model": ErrorResponse, "description": "Neither a form nor JSON."},
}
NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorResponse, "description": "There is no such document."}
}
IN_PROGRESS: dict[int | str, dict[str, Any]] = {
    409: {"model": ErrorResponse, "description": "A request of the same key is not done yet."}
}
CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": ErrorResponse, "description": "It belongs to a source that is kept in sync."}
}

router = APIRouter(prefix="/v1/documents", tags=["documents"], responses=FAILURES)


def _location(accepted: AcceptedDocuments) -> str:
    return f"/v1/ingestions/{accepted.ingestion.id}"


_ClaimDep = Annotated[Claim, Depends(claiming(_location), scope="function")]


@router.post(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    responses=IN_PROGRESS | TOO_LARGE,
    openapi_extra=BODY,
)
async def upload_documents(
    request: Request,
    response: Response,
    caller: IngesterDep,
    database: DatabaseDep,
    claim: _ClaimDep,
) -> AcceptedDocuments:
    """Take in files (.md, .mdx, .txt, .rst, .html, .pdf, .docx) or a text; the run stores them."""
    accepted = await services.accept(database, caller, await read_uploads(request), claim)
    response.headers["Location"] = _location(accepted)
    return accepted


@router.get("")
async def list_documents(
    request: Request,
    response: Response,
    caller: ReaderDep,
    database: DatabaseDep,
    source_id: UUID | None = None,
    path_prefix: Annotated[str | None, Query(max_length=500), AfterValidator(storable)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[
        str | None, Query(description="From the `Link` header of the page before.")
    ] = None,
) -> list[Document]:
    """The caller's documents and shared ones, newest first; `Link` leads to the next page."""
    page, following = await services.find_page(
        database, caller, source_id=source_id, path_prefix=path_prefix, limit=limit, cursor=cursor
    )
    link_to_next_page(request, response, following)
    return page


@router.get("/{document_id}", responses=NOT_FOUND)
async def get_document(document_id: UUID, caller: ReaderDep, database: DatabaseDep) -> DocumentText:
    """A document with its whole text and the places of its chunks."""
    return await services.find(database, caller, document_id)


@router.put(
    "/{document_id}",
    status_code=status.HTTP_202_ACCEPTED,
    responses=NOT_FOUND | CONFLICT | TOO_LARGE,
    openapi_extra=BODY,
)
async def replace_document(
    document_id: UUID,
    request: Request,
    response: Response,
    caller: IngesterDep,
    database: DatabaseDep,
    claim: _ClaimDep,
) -> AcceptedDocuments:
    """Give an uploaded document another content; the old one answers until it is stored."""
    upload = await read_upload(request)
    accepted = await services.replace(database, caller, document_id, upload, claim)
    response.headers["Location"] = _location(accepted)
    return accepted


@router.delete(
    "/{document_id}", status_code=status.HTTP_204_NO_CONTENT, responses=NOT_FOUND | CONFLICT
)
async def delete_document(document_id: UUID, caller: IngesterDep, database: DatabaseDep) -> None:
    """Remove an uploaded document; no search finds it from now on."""
    await services.delete(database, caller, document_id)
