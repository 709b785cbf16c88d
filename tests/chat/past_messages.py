"""Chats as they were before a question."""

from collections.abc import Iterator
from uuid import UUID, uuid4

from app.chat.constants import ChatRole
from app.chat.past import PastMessage

__all__ = ["chat", "message"]


def message(role: ChatRole, text: str, message_id: UUID | None = None) -> PastMessage:
    """Make a message of a past."""
    return PastMessage(message_id or uuid4(), role, text)


def chat(*texts: str | None) -> list[PastMessage]:
    """Make a past of questions and answers in turns; None where an answer is missing."""
    return list(_messages(texts))


def _messages(texts: tuple[str | None, ...]) -> Iterator[PastMessage]:
    for number, text in enumerate(texts):
        role = ChatRole.ASSISTANT if number % 2 else ChatRole.USER
        if text is not None:
            yield message(role, text)
