"""What the chat routes ask for."""

from typing import Annotated

from fastapi import Depends, Request

from app.chat.resuming import Resuming
from app.chat.services import ChatService

__all__ = ["ChatServiceDep", "ResumingDep"]


async def _chat(request: Request) -> ChatService:
    chat: ChatService = request.state.resources.chat
    return chat


async def _resuming(request: Request) -> Resuming:
    resuming: Resuming = request.state.resources.resuming
    return resuming


ChatServiceDep = Annotated[ChatService, Depends(_chat)]
ResumingDep = Annotated[Resuming, Depends(_resuming)]
