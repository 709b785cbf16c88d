"""The route that shows what a question would be answered from."""

from typing import Any

from fastapi import APIRouter, Request

from app.accounts.dependencies import ReaderDep
from app.core.dependencies import SettingsDep
from app.core.models import ErrorResponse
from app.knowledge.retrieval import Retriever
from app.knowledge.search import services
from app.knowledge.search.models import SearchRequest, SearchResult

__all__ = ["router"]

FAILURES: dict[int | str, dict[str, Any]] = {
    422: {"model": ErrorResponse, "description": "The request is not valid."},
    503: {"model": ErrorResponse, "description": "The database or the index is unavailable."},
}

router = APIRouter(prefix="/v1", tags=["search"], responses=FAILURES)


@router.post("/search")
async def search(
    request: SearchRequest, caller: ReaderDep, settings: SettingsDep, connection: Request
) -> SearchResult:
    """Find passages, and show why: both searches' scores and ranks, and what took how long."""
    retriever: Retriever = connection.state.resources.retriever
    return await services.search(
        retriever, caller, request, max_characters=settings.max_message_characters
    )
