"""Requests and answers as clients of earlier backends know them.

Such clients may send fields that mean nothing here: they are ignored.
"""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from app.chat.constants import MAX_SELECTED_CHARACTERS
from app.chat.models import ANSWER, QUESTION, SourceText
from app.core.text import one_line, storable

__all__ = [
    "DocsAnswer",
    "DocsQuestion",
    "SelectionMessage",
    "SelectionResponse",
    "SessionMessage",
    "SessionResponse",
]

HOURS = "We are open from 9 to 17."


def _none_if_blank(text: object) -> object:
    return None if isinstance(text, str) and not text.strip() else text


Message = Annotated[str, AfterValidator(storable)]
Selection = Annotated[str, Field(max_length=MAX_SELECTED_CHARACTERS), AfterValidator(storable)]
SessionId = Annotated[
    str, Field(max_length=200), AfterValidator(storable), AfterValidator(one_line)
]


class DocsQuestion(BaseModel):
    """A question to the documents."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"question": QUESTION}]})

    question: Message


class DocsAnswer(BaseModel):
    """Its answer."""

    answer: str = Field(examples=[ANSWER])
    sources: list[str] = Field(
        description="The paths of the documents that it was made from, best first.",
        examples=[["ingestion.md", "sources.md"]],
    )


class SessionMessage(BaseModel):
    """A message, by itself or as the next one of a session."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"message": QUESTION},
                {"message": "And how do I delete one?", "session_id": "tab-7f3a"},
                {"message": "When do you open?", "selected_text": HOURS},
            ]
        }
    )

    message: Message
    # Clients send what the reader has selected, which may be nothing.
    selected_text: Annotated[Selection | None, BeforeValidator(_none_if_blank)] = Field(
        default=None,
        description="Answer from this text alone, and not from the documents. It is not kept with "
        "the answer.",
    )
    session_id: SessionId | None = Field(
        default=None,
        description="Your own name of a conversation. The first message begins it, those that "
        "follow are answered with its history. Without one, nothing was said before.",
    )


class SelectionMessage(BaseModel):
    """A question to one text."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": "When do you open?", "document_content": HOURS}]}
    )

    query: Message
    document_content: Selection = Field(
        description="Answer from this text alone. It is not kept with the answer."
    )


class SelectionResponse(BaseModel):
    """An answer, and what it was made from."""

    response: str = Field(examples=[ANSWER])
    sources: list[SourceText]
    query: str = Field(examples=[QUESTION])
    model_used: str = Field(examples=["offline-extractive"])


class SessionResponse(SelectionResponse):
    """The same, and the conversation that it belongs to."""

    session_id: str | None = Field(default=None, examples=["tab-7f3a"])
    chat_id: UUID | None = Field(
        default=None, description="Of a session: `/v1/chats/{chat_id}` is the same conversation."
    )
