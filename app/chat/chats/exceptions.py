"""Errors about chats."""

from app.core.exceptions import NotFound

__all__ = ["ChatNotFound", "MessageNotFound"]


class ChatNotFound(NotFound):
    """There is no such chat."""

    code = "chat_not_found"


class MessageNotFound(NotFound):
    """There is no such message."""

    code = "message_not_found"
