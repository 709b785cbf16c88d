"""Requests and answers about chats."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.chat.models import StoredMessage
from app.core.text import one_line, storable

__all__ = ["Chat", "ChatChange", "ListedChat", "ListedMessage", "NewChat", "SearchText"]

TITLE = "How do I ingest a folder?"

Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=200),
    AfterValidator(storable),
    AfterValidator(one_line),
]
SearchText = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(storable)
]


class NewChat(BaseModel):
    """A chat to begin."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{}, {"title": TITLE}]}
    )

    title: Title | None = Field(
        default=None, description="By default it is made from the first question."
    )


class ChatChange(BaseModel):
    """What to change; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"title": TITLE}]})

    title: Title | None = None
    head_id: UUID | None = Field(
        default=None,
        description="A message of the chat: show the branch that leads through it, on to the "
        "newest message after it.",
    )


class Chat(BaseModel):
    """Messages that follow each other."""

    id: UUID
    title: str = Field(
        description="Empty until the first question, unless it was given.", examples=[TITLE]
    )
    created_at: datetime
    updated_at: datetime = Field(description="When it was last gone on with.")
    message_count: int = Field(description="Those of all branches.", examples=[2])
    generating: UUID | None = Field(description="The answer that is being made now.")


class ListedChat(Chat):
    """A chat in a list."""

    snippet: str | None = Field(
        description="Of a search: the newest message that was found, or the title, around what "
        "was searched for.",
        examples=["…needs a token. How do I ingest a folder that others may read?"],
    )


class ListedMessage(StoredMessage):
    """A message in its chat."""

    alternatives: list[UUID] = Field(
        description="Every message that follows the same one, this one included, oldest first."
    )
    html: list[str] | None = Field(
        default=None,
        description="With `?html=true`, an answer for pages: its blocks as safe HTML.",
        examples=[["<p>Run <code>make run-dev</code>.</p>\n"]],
    )
