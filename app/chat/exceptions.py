"""Errors of the chat domain."""

from typing import Final
from uuid import UUID

from app.core.exceptions import AppError, Conflict, InvalidRequest

__all__ = [
    "AnswerCancelled",
    "AnswerUnwanted",
    "ChatBusy",
    "MessagesGone",
    "PassagesGone",
    "PostProcessingFailed",
    "StillStopping",
    "TooManyGenerations",
    "UnknownModel",
]


# About as long as an answer takes.
RETRY_AFTER_SEC: Final = 5


class UnknownModel(InvalidRequest):
    """The requested model is not one of the allowed models."""

    code = "unknown_model"


class PassagesGone(Conflict):
    """Passages of this answer were changed or are gone: ask the question again."""

    code = "passages_gone"


class MessagesGone(Conflict):
    """Earlier messages that this answer was made after are gone: ask the question again."""

    code = "messages_gone"


class PostProcessingFailed(AppError):
    """Post processing failed"""

    status_code = 503
    code = "post_processing_failed"


class AnswerUnwanted(Conflict):
    """The chat or the account was deleted while the answer was made."""

    code = "answer_unwanted"


class AnswerCancelled(Conflict):
    """The answer was cancelled before its first word."""

    code = "answer_cancelled"


class StillStopping(Conflict):
    """The answer is being stopped, which takes longer than usual. Please look again in a moment."""

    code = "still_stopping"


class ChatBusy(Conflict):
    """Another question of this chat is being answered: wait for its answer, or cancel it."""

    code = "chat_busy"

    def __init__(self, answer_id: UUID) -> None:
        super().__init__(details={"message_id": str(answer_id)})


class TooManyGenerations(AppError):
    """Too many answers are in the making: wait for one of them, or cancel it."""

    status_code = 429
    code = "too_many_generations"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"You may have {limit} answer{'s' * (limit > 1)} in the making at once: wait for one, "
            "or cancel it.",
            details={"limit": limit},
            headers={"Retry-After": str(RETRY_AFTER_SEC)},
        )
