"""The messages of a chat before a question, as they are told to a language model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from app.chat.constants import NO_DOCUMENTS_FOUND, ChatRole
from app.chat.markers import clean
from app.chat.provenance import TracedHistory

__all__ = [
    "NO_HISTORY",
    "NO_SUMMARY",
    "PackedHistory",
    "PastMessage",
    "Summary",
    "Turn",
    "read_turns",
    "shortened",
    "told",
]

# Enough for nearly every answer. It depends on nothing else, so that the same message is told in
# the same words again.
MAX_TOLD_BYTES: Final = 4_000
CUT: Final = " […]"


@dataclass(frozen=True, slots=True)
class PastMessage:
    """A message of a chat, as it is stored."""

    id: UUID
    role: ChatRole
    text: str


# A question and, if it was answered, its answer.
Turn = tuple[PastMessage, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What was said in the first turns of a chat, in fewer words."""

    turns: int
    text: str


NO_SUMMARY: Final = Summary(0, "")


@dataclass(frozen=True, slots=True)
class PackedHistory:
    """What a prompt tells of the messages before a question, oldest first.

    `tokens` is the room that it takes beside the question, all included.
    """

    messages: Sequence[PastMessage] = ()
    summary: str = ""
    used: TracedHistory = field(default_factory=TracedHistory)
    tokens: int = 0


NO_HISTORY: Final = PackedHistory()


def read_turns(past: Sequence[PastMessage]) -> list[Turn]:
    """Put questions and their answers together, oldest first; an answer alone is left out."""
    turns: list[Turn] = []
    for message in past:
        if message.role is ChatRole.USER:
            turns.append((message,))
        elif turns and len(turns[-1]) == 1:
            turns[-1] = (*turns[-1], message)
    return turns


def told(message: PastMessage) -> str:
    """Return a message's text as a model is told it; empty for an answer that says nothing.

    The markers `[n]` of an answer are taken out: the passages that they point to are not there.
    """
    text = shortened(message.text, MAX_TOLD_BYTES)
    if message.role is ChatRole.USER:
        return text
    if text.strip() == NO_DOCUMENTS_FOUND:
        return ""
    return clean(text, 0)[0].strip()


def shortened(text: str, limit: int) -> str:
    """Return a text cut to so many bytes, with a mark where it was cut."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[: limit - len(CUT.encode())].decode(errors="ignore").rstrip() + CUT
