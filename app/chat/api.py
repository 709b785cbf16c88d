"""Routes of the chat domain: completions, questions to the documents, stored messages."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.accounts.dependencies import AskerDep, ReaderDep, StreamDep
from app.accounts.idempotency import ClaimDep
from app.chat.dependencies import ChatServiceDep
from app.chat.history import list_messages
from app.chat.models import (
    Answer,
    AnswerWithSources,
    MessageRequest,
    QuestionRequest,
    StoredMessage,
)
from app.chat.provenance import Trace
from app.chat.traces import Replay, read_trace, replay
from app.core.dependencies import DatabaseDep
from app.core.models import ErrorResponse
from app.core.paging import link_to_next_page
from app.core.streaming import EventStream, while_reader_waits

router = APIRouter(prefix="/v1", tags=["chat"])

UPSTREAM_FAILURES: dict[int | str, dict[str, Any]] = {
    422: {"model": ErrorResponse, "description": "The request is not valid."},
    502: {"model": ErrorResponse, "description": "The language model failed."},
    503: {"model": ErrorResponse, "description": "A part that bRAG depends on is unavailable."},
    504: {"model": ErrorResponse, "description": "The language model took too long."},
}
IN_CHAT: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorResponse, "description": "There is no such chat."},
    409: {
        "model": ErrorResponse,
        "description": "The chat, or a request with the same `Idempotency-Key`, is being answered, "
        "or somebody has stopped the answer.",
    },
}
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events: `sources` (questions only), `message` for each piece, "
        "`citations` (questions only), then `done`; after the first byte a failure is an `error` "
        "event.",
        "content": {
            "text/event-stream": {
                "example": "event: message\n"
                'data: {"id":"0199f0a2-7a3e-7c1e-9d2b-0f6a3c5b8d11","created":1780000000,'
                '"model":"offline-extractive","content":"To ingest","finish_reason":null}\n\n'
            }
        },
    }
}


@router.post("/completion", responses=UPSTREAM_FAILURES)
async def completion(request: MessageRequest, chat: ChatServiceDep, caller: AskerDep) -> Answer:
    """Pass a message to the language model, without your documents."""
    return await chat.complete(request, caller)


@router.post("/completion-stream", response_class=EventStream, responses=UPSTREAM_FAILURES | STREAM)
async def completion_stream(
    request: MessageRequest,
    chat: ChatServiceDep,
    caller: AskerDep,
    stream: StreamDep,
    connection: Request,
) -> EventStream:
    """The same as a stream of server-sent events."""
    return stream(await while_reader_waits(connection, chat.stream_completion(request, caller)))


@router.post("/qa-create", responses=UPSTREAM_FAILURES | IN_CHAT)
async def qa_create(
    request: QuestionRequest,
    chat: ChatServiceDep,
    caller: AskerDep,
    connection: Request,
    claim: ClaimDep,
) -> AnswerWithSources:
    """Answer a question from your documents, or from a selected text.

    `[n]` in the answer is `number` in `sources`; `citations` say which sentence there supports it.
    """
    answering = chat.ask(request, caller, claim)
    if request.is_resumable or claim.is_keyed:
        # Whoever leaves now may come back.
        return await answering
    return await while_reader_waits(connection, answering)


@router.post(
    "/qa-stream",
    response_class=EventStream,
    responses=UPSTREAM_FAILURES | IN_CHAT | STREAM,
)
async def qa_stream(
    request: QuestionRequest,
    chat: ChatServiceDep,
    caller: AskerDep,
    stream: StreamDep,
    connection: Request,
    claim: ClaimDep,
) -> EventStream:
    """The same as a stream of server-sent events; one with an `Idempotency-Key` is resumable."""
    if claim.is_keyed:
        request = request.model_copy(update={"resumable": True})
    answering = chat.stream_answer(request, caller, claim)
    if request.is_resumable:
        # Whoever leaves now may come back.
        return stream(await answering)
    return stream(await while_reader_waits(connection, answering))


@router.get("/messages", responses={422: UPSTREAM_FAILURES[422], 503: UPSTREAM_FAILURES[503]})
async def messages(
    request: Request,
    response: Response,
    database: DatabaseDep,
    caller: ReaderDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[
        str | None, Query(description="From the `Link` header of the page before.")
    ] = None,
) -> list[StoredMessage]:
    """Your questions and answers, newest first; the `Link` header leads to the next page."""
    page, following = await list_messages(database, caller, limit=limit, cursor=cursor)
    link_to_next_page(request, response, following)
    return page


NO_ANSWER: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorResponse, "description": "There is no such answer."}
}


@router.get(
    "/messages/{message_id}/trace",
    responses=NO_ANSWER | {503: UPSTREAM_FAILURES[503]},
)
async def trace(message_id: UUID, database: DatabaseDep, caller: ReaderDep) -> Trace:
    """How an answer came about: its passages, scores, prompt, model, settings and timings."""
    return await read_trace(database, message_id, caller)


@router.post(
    "/messages/{message_id}/replay",
    responses=UPSTREAM_FAILURES
    | NO_ANSWER
    | {409: {"model": ErrorResponse, "description": "Its passages are not as they were."}},
)
async def replay_message(
    message_id: UUID, chat: ChatServiceDep, database: DatabaseDep, caller: AskerDep
) -> Replay:
    """Answer once more from the same passages, and say what differs; both answers are kept."""
    return await replay(database, chat, message_id, caller)
