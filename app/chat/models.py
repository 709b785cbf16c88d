"""Requests and answers of the chat endpoints."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from app.chat.constants import MAX_SELECTED_CHARACTERS, ChatRole, MessageStatus
from app.core.text import storable
from app.knowledge.retrieval import SearchMode
from app.knowledge.search.models import SearchFilters

__all__ = [
    "Answer",
    "AnswerState",
    "AnswerWithSources",
    "ChatMessageRequest",
    "Chunk",
    "Citation",
    "Done",
    "MessageRequest",
    "QuestionRequest",
    "RegenerateRequest",
    "Source",
    "SourceText",
    "Started",
    "StoredCitation",
    "StoredMessage",
    "TokenUsage",
    "UsedHistory",
]

QUESTION = "How do I ingest a folder?"
ANSWER = "To ingest a folder, run `python -m app ingest PATH`. [1]"


class MessageRequest(BaseModel):
    """A message, and optionally which model answers it."""

    # A misspelt field must not be taken for a wish that was granted.
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"message": QUESTION}]}
    )

    message: Annotated[str, AfterValidator(storable)]
    model: str | None = Field(
        default=None, description="One of the allowed models; unset means the default."
    )


class QuestionRequest(MessageRequest):
    """A question, and optionally where its answer is to be looked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"message": QUESTION},
                {"message": QUESTION, "filters": {"path_prefixes": ["docs"]}},
                {"message": "When do you open?", "selected_text": "We are open from 9 to 17."},
            ]
        }
    )

    selected_text: (
        Annotated[str, Field(max_length=MAX_SELECTED_CHARACTERS), AfterValidator(storable)] | None
    ) = Field(
        default=None,
        description="Answer from this text alone, and not from the documents. It is not kept with "
        "the answer.",
    )
    mode: SearchMode | None = Field(
        default=None, description="How passages are found; unset means `hybrid`."
    )
    filters: SearchFilters | None = None
    chat_id: UUID | None = Field(
        default=None, description="The chat that the question goes on with."
    )
    resumable: bool = Field(
        default=False,
        description="Go on for a while when the connection breaks, so that "
        "`GET /v1/messages/{id}/stream` leads back to the answer. Every question in a chat does.",
    )

    @property
    def is_resumable(self) -> bool:
        """Whether its answer goes on without its reader."""
        return self.resumable or self.chat_id is not None

    @model_validator(mode="after")
    def _one_place_to_look(self) -> Self:
        filtered = self.filters is not None and self.filters != SearchFilters()
        if self.selected_text is not None and (filtered or self.mode is not None):
            raise ValueError(
                "selected_text is answered from alone: leave filters and mode out with it"
            )
        return self


class ChatMessageRequest(QuestionRequest):
    """The next question of a chat, or another one in place of an earlier one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"message": QUESTION},
                {"message": "And how do I delete one?", "stream": True},
                {"message": "Thank you! Say it in one sentence.", "retrieval": False},
            ]
        }
    )

    chat_id: SkipJsonSchema[None] = None
    resumable: SkipJsonSchema[Literal[True]] = True
    retrieval: bool = Field(
        default=True, description="Answer from the documents; else from the chat alone."
    )
    stream: bool = Field(default=False, description="Answer as server-sent events.")
    parent_id: UUID | None = Field(
        default=None,
        description="The message of the chat that it follows; unset means the last one of the "
        "branch that is shown.",
    )
    edits: UUID | None = Field(
        default=None,
        description="The question that it replaces: it follows what that one follows, in a branch "
        "of its own. Nothing is lost.",
    )

    @model_validator(mode="after")
    def _one_place_in_the_chat(self) -> Self:
        if self.parent_id is not None and self.edits is not None:
            raise ValueError("parent_id and edits both say where it stands: leave one out")
        return self

    @model_validator(mode="after")
    def _without_documents(self) -> Self:
        looks = (self.filters, self.mode, self.selected_text)
        if self.retrieval is False and any(one is not None for one in looks):
            raise ValueError(
                "retrieval is off: leave filters, mode and selected_text out, or switch it on"
            )
        return self


class RegenerateRequest(ChatMessageRequest):
    """Another answer to a question of a chat."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"model": "gpt-5"}]})

    message: SkipJsonSchema[Literal[""]] = ""
    retrieval: bool | None = Field(  # type: ignore[assignment]
        default=None, description="By default as before, and so are `filters` and `mode`."
    )
    parent_id: SkipJsonSchema[None] = None
    edits: SkipJsonSchema[None] = None
    message_id: UUID | None = Field(
        default=None,
        description="The question, or an answer to it; unset means the last one of the branch "
        "that is shown.",
    )


class TokenUsage(BaseModel):
    """Tokens, as the language model counts them; null where it doesn't say."""

    prompt_tokens: int | None = Field(default=None, examples=[812])
    completion_tokens: int | None = Field(default=None, examples=[57])
    cost: float | None = Field(
        default=None,
        examples=[0.000317],
        description="What the answer has cost by `OPENAI_PRICES`, all included: also writing the "
        "question out, and summing up what was said before. Null where a price or tokens aren't "
        "known.",
    )


class Source(BaseModel):
    """A passage that an answer was made from; `[number]` in the answer refers to it.

    Of a selected text there are no ids, and `start` and `end` point into that text.
    """

    number: int = Field(examples=[1])
    document_id: UUID | None
    chunk_id: UUID | None
    source: str | None = Field(default=None, examples=["https://github.com/acme/handbook"])
    path: str = Field(examples=["ingestion.md"])
    title: str = Field(examples=["Ingestion"])
    url: str | None = None
    heading_path: list[str] = Field(examples=[["Ingestion", "Folders"]])
    start: int = Field(description="Characters into the document's text.", examples=[120])
    end: int = Field(description="Exclusive.", examples=[640])
    score: float | None = Field(
        examples=[0.83], description="Only scores of one search can be compared."
    )


class SourceText(Source):
    """The same with its text."""

    text: str = Field(examples=["To ingest a folder, run `python -m app ingest PATH`."])


class StoredCitation(BaseModel):
    """A marker `[n]` of an answer, checked against the passage that it points to."""

    marker: int = Field(examples=[1])
    document_id: UUID | None
    chunk_id: UUID | None
    source: str | None = Field(examples=["https://github.com/acme/handbook"])
    path: str = Field(examples=["ingestion.md"])
    title: str = Field(examples=["Ingestion"])
    url: str | None = Field(
        description="The exact lines at the exact commit where the forge has such links.",
        examples=["https://github.com/acme/handbook/blob/5f0c1a2/ingestion.md?plain=1#L7-L8"],
    )
    start: int = Field(description="Characters into the document's text.", examples=[120])
    end: int = Field(description="Exclusive.", examples=[172])
    verified: bool = Field(
        description="Whether the quoted sentence supports the answer's sentence, by words, "
        "numbers, code and negation, and stands in the document."
    )
    score: float = Field(description="How well it does, from 0 to 1.", examples=[0.92])


class Citation(StoredCitation):
    """The same with the passage's own sentence that supports the answer's sentence best."""

    quote: str | None = Field(
        examples=["To ingest a folder, run `python -m app ingest PATH`."],
        description="`text[start:end]` of the document; null when the document was changed or "
        "deleted while the answer was made.",
    )


class Answer(BaseModel):
    """An answer of the language model."""

    created_at: datetime
    id: UUID
    role: ChatRole = ChatRole.ASSISTANT
    model: str = Field(examples=["offline-extractive"])
    message: str = Field(examples=[ANSWER])
    usage: TokenUsage


class UsedHistory(BaseModel):
    """What the language model was told of the messages before a question."""

    given: int = Field(default=0, description="Messages that it was given word for word.")
    summarised: int = Field(default=0, description="Older ones that it was given in a summary.")
    left_out: int = Field(default=0, description="Still older ones that there was no room for.")


class AnswerWithSources(Answer):
    """An answer from your documents."""

    status: MessageStatus = Field(description="`cancelled` when somebody has stopped it.")
    question_id: UUID
    chat_id: UUID | None = None
    sources: list[SourceText]
    citations: list[Citation]
    history: UsedHistory | None = Field(default=None, description="In a chat only.")


class StoredMessage(BaseModel):
    """A question or an answer, as it is kept."""

    created_at: datetime
    id: UUID
    question_id: UUID | None = Field(description="The question that an answer belongs to.")
    chat_id: UUID | None = None
    parent_id: UUID | None = Field(
        default=None, description="Of a question in a chat: the message that it follows."
    )
    role: ChatRole
    status: MessageStatus
    model: str
    message: str
    usage: TokenUsage
    sources: list[Source]
    citations: list[StoredCitation]


class Chunk(BaseModel):
    """The data of a `message` event."""

    id: UUID
    created: int = Field(description="Unix time in seconds.")
    model: str
    content: str
    finish_reason: str | None


class AnswerState(BaseModel):
    """How far an answer has come."""

    id: UUID
    status: MessageStatus
    message: str = Field(examples=["To ingest a"])


class Started(BaseModel):
    """The data of the `started` event that a stream begins with which can be resumed."""

    id: UUID = Field(description="The answer's; `GET /v1/messages/{id}/stream` resumes it.")
    question_id: UUID
    chat_id: UUID | None


class Done(BaseModel):
    """The data of the `done` event that ends a stream which did not fail."""

    id: UUID
    model: str
    status: MessageStatus = Field(description="`cancelled` when somebody has stopped it.")
    usage: TokenUsage
