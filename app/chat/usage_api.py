"""The route that tells what language models have been used for."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.accounts.dependencies import ReaderDep
from app.chat.usage import MAX_DAYS, Usage, read_usage
from app.core.dependencies import DatabaseDep
from app.core.models import ErrorResponse

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["account"])


@router.get(
    "/usage",
    responses={
        403: {"model": ErrorResponse, "description": "Only admins may see what others have used."},
        404: {"model": ErrorResponse, "description": "There is no such account."},
        422: {"model": ErrorResponse, "description": "The request is not valid."},
        503: {"model": ErrorResponse, "description": "The database is unavailable."},
    },
)
async def get_usage(
    caller: ReaderDep,
    database: DatabaseDep,
    days: Annotated[int, Query(ge=1, le=MAX_DAYS, description="So many, today included.")] = 30,
    account: Annotated[
        str | None, Query(max_length=320, description="Another account's address; admins only.")
    ] = None,
) -> Usage:
    """What you have used of language models, and what it has cost, by day (UTC) and model."""
    return await read_usage(database, caller, days=days, account=account)
