"""Words that the chat layer, its callers and the stored messages share."""

from enum import StrEnum

__all__ = ["MAX_SELECTED_CHARACTERS", "NO_DOCUMENTS_FOUND", "ChatRole", "MessageStatus"]

NO_DOCUMENTS_FOUND = "No documents found in context. Please try again with a different query."
# A text that is longer than the context window is embedded piece by piece: two seconds at most.
MAX_SELECTED_CHARACTERS = 50_000


class ChatRole(StrEnum):
    """Who says a message."""

    USER = "user"
    SYSTEM = "system"
    ASSISTANT = "assistant"


class MessageStatus(StrEnum):
    """How far an answer came."""

    COMPLETE = "complete"
    CANCELLED = "cancelled"
    FAILED = "failed"
