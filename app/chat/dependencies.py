"""What the chat routes ask for."""

from typing import Annotated

from fastapi import Depends, Request

from app.chat.services import ChatService

__all__ = ["ChatServiceDep"]


async def _chat(request: Request) -> ChatService:
    chat: ChatService = request.state.resources.chat
    return chat


ChatServiceDep = Annotated[ChatService, Depends(_chat)]
