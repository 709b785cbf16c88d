"""Where quotes stand in their documents, as these are when an answer is stored."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.chat.citations import Cited
from app.chat.models import SourceText
from app.chat.origins import place_url
from app.core.database import Queries

__all__ = ["Place", "find_places"]


@dataclass(frozen=True, slots=True)
class Place:
    """The chunk in which a quote begins, and the link to its very lines."""

    chunk_id: UUID | None
    url: str | None


def find_places(
    queries: Queries, account_id: UUID, sources: Sequence[SourceText], cited: Sequence[Cited]
) -> list[Place | None]:
    """Return the place of each quote; None where the document no longer says so there.

    A document that the account may no longer read says nothing.
    """
    by_number = {source.number: source for source in sources}
    wanted = [by_number[number] for number in {one.marker for one in cited}]
    stored = [source for source in wanted if source.document_id]
    rows = _read_passages(queries, account_id, stored)
    return [_place(by_number[one.marker], one, rows.get(one.marker)) for one in cited]


def _read_passages(
    queries: Queries, account_id: UUID, sources: Sequence[SourceText]
) -> dict[int, Mapping[str, Any]]:
    if not sources:
        return {}
    # Lines are counted for links only: in a large document it takes a while.
    passages = [
        {
            "number": source.number,
            "document_id": str(source.document_id),
            "start": source.start,
            "end": source.end,
            "count_lines": source.url is not None,
        }
        for source in sources
    ]
    rows = queries.locate_passages(account_id=account_id, passages=json.dumps(passages))
    return {row["number"]: row for row in rows}


def _place(source: SourceText, cited: Cited, row: Mapping[str, Any] | None) -> Place | None:
    if source.document_id is None:
        return Place(None, None)  # a selected text is not stored, so nothing can have changed it
    if row is None:
        return None
    text, start = row["text"], cited.start - source.start
    if text[start : start + len(cited.quote)] != cited.quote:
        return None
    starts = [UUID(chunk["id"]) for chunk in row["chunks"] if chunk["start"] <= cited.start]
    url = source.url
    if url is not None:
        first = row["first_line"] + text.count("\n", 0, start)
        last = first + cited.quote.count("\n")
        url = place_url(url, row["media_type"], line_start=first, line_end=last)
    return Place(starts[-1] if starts else source.chunk_id, url)
