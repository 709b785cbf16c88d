"""The events of an answer."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from fastapi.sse import format_sse_event
from pydantic import BaseModel, TypeAdapter

from app.chat.models import Citation, SourceText
from app.core.exceptions import AppError
from app.core.handlers import error_response

__all__ = ["ChatEvent", "citations_event", "error_event", "sources_event"]

_sources = TypeAdapter(list[SourceText])
_citations = TypeAdapter(list[Citation])


class ChatEvent(NamedTuple):
    """One event: its name, and its data as JSON."""

    name: str
    data: str

    @classmethod
    def of(cls, name: str, data: BaseModel) -> Self:
        """Make an event of a model."""
        return cls(name, data.model_dump_json())

    def encode(self, number: int) -> bytes:
        """Encode it for a reader, who names its number to go on behind it."""
        return format_sse_event(event=self.name, data_str=self.data, id=str(number))


def sources_event(sources: Sequence[SourceText]) -> ChatEvent:
    """Return the `sources` event, which comes before all text."""
    return ChatEvent("sources", _sources.dump_json(list(sources)).decode())


def citations_event(citations: Sequence[Citation]) -> ChatEvent:
    """Return the `citations` event, which follows the last `message`."""
    return ChatEvent("citations", _citations.dump_json(list(citations)).decode())


def error_event(error: AppError) -> ChatEvent:
    """Return the `error` event, which ends a stream that failed."""
    return ChatEvent.of("error", error_response(error).error)


def read_events(stored: Sequence[Any]) -> list[ChatEvent]:
    """Return events that were stored as pairs of name and data."""
    return [ChatEvent(name, data) for name, data in stored]
