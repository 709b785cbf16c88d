"""Routes under /api/v1: earlier backends' requests and answers, over the same services."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.accounts.dependencies import AskerDep
from app.accounts.responses import NEEDS_SCOPE
from app.chat.api import UPSTREAM_FAILURES
from app.chat.dependencies import ChatServiceDep
from app.chat.models import QuestionRequest
from app.compat.models import (
    DocsAnswer,
    DocsQuestion,
    SelectionMessage,
    SelectionResponse,
    SessionMessage,
    SessionResponse,
)
from app.compat.sessions import open_session
from app.core.api import health
from app.core.dependencies import DatabaseDep
from app.core.models import ErrorResponse

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["compatible"])

FAILURES = NEEDS_SCOPE | UPSTREAM_FAILURES
BUSY: dict[int | str, dict[str, Any]] = {
    409: {
        "model": ErrorResponse,
        "description": "Another message of the session is being answered, or somebody has stopped "
        "the answer.",
    }
}

router.get("/health")(health)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> JSONResponse:
    """Return the description of the whole API."""
    return JSONResponse(request.app.openapi())


@router.post("/answer", responses=FAILURES)
async def answer(request: DocsQuestion, chat: ChatServiceDep, caller: AskerDep) -> DocsAnswer:
    """Answer a question from your documents."""
    answered = await chat.ask(QuestionRequest(message=request.question), caller)
    paths = dict.fromkeys(source.path for source in answered.sources)
    return DocsAnswer(answer=answered.message, sources=list(paths))


@router.post("/chat", name="chat", responses=FAILURES | BUSY)
@router.post("/chat_conversation", name="chat_conversation", responses=FAILURES | BUSY)
async def send_message(
    request: SessionMessage, chat: ChatServiceDep, caller: AskerDep, database: DatabaseDep
) -> SessionResponse:
    """Answer a message from your documents, or a selected text, and what the session said before.

    `/chat` and `/chat_conversation` are the same.
    """
    chat_id = None
    if request.session_id is not None:
        chat_id = await open_session(database, caller, request.session_id)
    question = QuestionRequest(
        message=request.message, selected_text=request.selected_text, chat_id=chat_id
    )
    answered = await chat.ask(question, caller)
    return SessionResponse(
        response=answered.message,
        sources=answered.sources,
        query=request.message,
        model_used=answered.model,
        session_id=request.session_id,
        chat_id=chat_id,
    )


@router.post("/chat_with_selection", responses=FAILURES)
async def chat_with_selection(
    request: SelectionMessage, chat: ChatServiceDep, caller: AskerDep
) -> SelectionResponse:
    """Answer a question from one text alone."""
    question = QuestionRequest(message=request.query, selected_text=request.document_content)
    answered = await chat.ask(question, caller)
    return SelectionResponse(
        response=answered.message,
        sources=answered.sources,
        query=request.query,
        model_used=answered.model,
    )
