"""Routes about chats and their messages."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response, status

from app.accounts.dependencies import AskScopeDep, ReaderDep
from app.chat.chats import messages, services
from app.chat.chats.models import (
    Chat,
    ChatChange,
    ListedChat,
    ListedMessage,
    NewChat,
    SearchText,
)
from app.chat.models import StoredMessage
from app.core.dependencies import DatabaseDep
from app.core.models import ErrorResponse
from app.core.paging import link_to_next_page

__all__ = ["router"]

FAILURES: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorResponse, "description": "The request has no valid token."},
    403: {"model": ErrorResponse, "description": "The caller may not do this."},
    422: {"model": ErrorResponse, "description": "The request is not valid."},
    503: {"model": ErrorResponse, "description": "The database is unavailable."},
}
NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorResponse, "description": "There is no such chat or message."}
}

router = APIRouter(prefix="/v1", tags=["chats"], responses=FAILURES)


@router.post("/chats", status_code=status.HTTP_201_CREATED)
async def create_chat(
    response: Response, caller: AskScopeDep, database: DatabaseDep, new: NewChat | None = None
) -> Chat:
    """Begin a chat; `POST /v1/chats/{chat_id}/messages` asks the first question."""
    chat = await services.create(database, caller, new or NewChat())
    response.headers["Location"] = f"/v1/chats/{chat.id}"
    return chat


@router.get("/chats")
async def list_chats(
    request: Request,
    response: Response,
    caller: ReaderDep,
    database: DatabaseDep,
    search: Annotated[
        SearchText | None,
        Query(description="Only chats with this in their title or messages, in any case."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[
        str | None, Query(description="From the `Link` header of the page before.")
    ] = None,
) -> list[ListedChat]:
    """Your chats, latest used first; the `Link` header leads to the next page."""
    page, following = await services.find_page(
        database, caller, search=search, limit=limit, cursor=cursor
    )
    link_to_next_page(request, response, following)
    return page


@router.get("/chats/{chat_id}", responses=NOT_FOUND)
async def get_chat(chat_id: UUID, caller: ReaderDep, database: DatabaseDep) -> Chat:
    """One chat."""
    return await services.find(database, caller, chat_id)


@router.patch("/chats/{chat_id}", responses=NOT_FOUND)
async def update_chat(
    chat_id: UUID, change: ChatChange, caller: AskScopeDep, database: DatabaseDep
) -> Chat:
    """Rename a chat, or show another branch of it."""
    return await services.update(database, caller, chat_id, change)


@router.delete("/chats/{chat_id}", status_code=status.HTTP_204_NO_CONTENT, responses=NOT_FOUND)
async def delete_chat(chat_id: UUID, caller: AskScopeDep, database: DatabaseDep) -> None:
    """Remove a chat with its messages; an answer that is being made there ends."""
    await services.delete(database, caller, chat_id)


@router.get("/chats/{chat_id}/messages", responses=NOT_FOUND)
async def list_chat_messages(
    chat_id: UUID,
    *,
    request: Request,
    response: Response,
    caller: ReaderDep,
    database: DatabaseDep,
    leaf_id: Annotated[
        UUID | None,
        Query(
            description="A message of another branch: that one, on to the newest message after it."
        ),
    ] = None,
    html: Annotated[bool, Query(description="For pages: answers as HTML, too.")] = False,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[
        str | None, Query(description="From the `Link` header of the page before.")
    ] = None,
) -> list[ListedMessage]:
    """The branch that is shown, newest first; the `Link` header leads to the next page."""
    page, following = await messages.find_messages(
        database, caller, chat_id, leaf_id=leaf_id, limit=limit, cursor=cursor
    )
    link_to_next_page(request, response, following)
    return await messages.with_html(page) if html else page


@router.get("/messages/{message_id}", responses=NOT_FOUND)
async def get_message(message_id: UUID, caller: ReaderDep, database: DatabaseDep) -> StoredMessage:
    """One question or answer."""
    return await messages.find_message(database, caller, message_id)
