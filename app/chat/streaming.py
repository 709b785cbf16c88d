"""The events of an answer whose data is a list."""

from fastapi.sse import format_sse_event
from pydantic import TypeAdapter

from app.chat.models import Citation, SourceText

__all__ = ["citations_event", "sources_event"]

_sources = TypeAdapter(list[SourceText])
_citations = TypeAdapter(list[Citation])


def sources_event(sources: list[SourceText]) -> bytes:
    """Encode the `sources` event, which comes first."""
    return format_sse_event(event="sources", data_str=_sources.dump_json(sources).decode())


def citations_event(citations: list[Citation]) -> bytes:
    """Encode the `citations` event, which follows the last `message`."""
    return format_sse_event(event="citations", data_str=_citations.dump_json(citations).decode())
