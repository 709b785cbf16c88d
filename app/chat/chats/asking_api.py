"""Routes that ask in a chat, and that lead back to an answer in the making."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query

from app.accounts.dependencies import AskerDep, AskScopeDep, StreamDep
from app.accounts.idempotency import ClaimDep
from app.chat.api import STREAM, UPSTREAM_FAILURES
from app.chat.dependencies import ChatServiceDep, ResumingDep
from app.chat.models import (
    AnswerState,
    AnswerWithSources,
    ChatMessageRequest,
    RegenerateRequest,
)
from app.chat.rendered import with_html
from app.core.models import ErrorResponse
from app.core.streaming import EventStream

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["chats"])

NO_CHAT: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorResponse, "description": "There is no such chat."},
    409: {"model": ErrorResponse, "description": "Another question of it is being answered."},
}
NO_ANSWER: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorResponse, "description": "There is no such answer."}
}
# Also as a stream: it depends on the body.
EITHER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer, or with `stream` its events: `started`, then as for "
        "`/v1/qa-stream`.",
        "content": STREAM[200]["content"],
    }
}

HtmlQuery = Annotated[
    bool,
    Query(
        description="For pages: a stream also has `html` events, `{first, blocks}`, with what the "
        "answer looks like so far. The blocks are safe HTML and replace all from number `first` on."
    ),
]


@router.post(
    "/chats/{chat_id}/messages",
    response_model=AnswerWithSources,
    responses=UPSTREAM_FAILURES | NO_CHAT | EITHER,
)
async def send_message(
    chat_id: UUID,
    request: ChatMessageRequest,
    chat: ChatServiceDep,
    caller: AskerDep,
    stream: StreamDep,
    claim: ClaimDep,
    html: HtmlQuery = False,
) -> AnswerWithSources | EventStream:
    """Ask the next question of a chat, which may refer to what was said before.

    The answer goes on for a while when the connection breaks: `/v1/messages/{id}/stream`.
    """
    if request.stream:
        events = await chat.stream_message(chat_id, request, caller, claim)
        return stream(with_html(events) if html else events)
    return await chat.converse(chat_id, request, caller, claim)


@router.post(
    "/chats/{chat_id}/regenerate",
    response_model=AnswerWithSources,
    responses=UPSTREAM_FAILURES | NO_CHAT | EITHER,
)
async def regenerate(
    chat_id: UUID,
    request: RegenerateRequest,
    chat: ChatServiceDep,
    caller: AskerDep,
    stream: StreamDep,
    claim: ClaimDep,
    html: HtmlQuery = False,
) -> AnswerWithSources | EventStream:
    """Answer a question once more, the last one by default; both answers are kept."""
    if request.stream:
        events = await chat.stream_again(chat_id, request, caller, claim)
        return stream(with_html(events) if html else events)
    return await chat.regenerate(chat_id, request, caller, claim)


@router.get(
    "/messages/{message_id}/stream", response_class=EventStream, responses=NO_ANSWER | STREAM
)
async def resume_answer(
    message_id: UUID,
    resuming: ResumingDep,
    caller: AskScopeDep,
    stream: StreamDep,
    last_event_id: Annotated[
        int, Header(ge=0, le=2**31 - 2, description="The `id` of the last event that arrived.")
    ] = 0,
    html: HtmlQuery = False,
) -> EventStream:
    """Go on reading an answer behind the last event that arrived, from any server process."""
    if html:
        events = await resuming.resume(message_id, caller, after=0)
        return stream(with_html(events, after=last_event_id))
    return stream(await resuming.resume(message_id, caller, after=last_event_id))


@router.post("/messages/{message_id}/cancel", responses=NO_ANSWER)
async def cancel_answer(
    message_id: UUID, resuming: ResumingDep, caller: AskScopeDep
) -> AnswerState:
    """Stop an answer in the making; what there is of it is kept."""
    return await resuming.cancel(message_id, caller)
