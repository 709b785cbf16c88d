"""The events of an answer that are not a model of their own."""

from fastapi.sse import format_sse_event
from pydantic import TypeAdapter

from app.chat.models import SourceText

__all__ = ["sources_event"]

_sources = TypeAdapter(list[SourceText])


def sources_event(sources: list[SourceText]) -> bytes:
    """Encode the `sources` event, whose data is a list."""
    return format_sse_event(event="sources", data_str=_sources.dump_json(sources).decode())
