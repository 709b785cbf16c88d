"""Chunks that follow one another in a document, read as one passage: a pure function of places."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from app.knowledge.chunking import MAX_CHARACTERS

__all__ = ["Merged", "Place", "merge"]


class Place(NamedTuple):
    """Where a chunk stands: the how manyth of which document, and between which characters."""

    document_id: UUID
    ordinal: int
    start: int
    end: int


@dataclass(slots=True)
class Merged:
    """A passage, `document[start:end]`; `members` are the places in it, the best-ranked first."""

    document_id: UUID
    start: int
    end: int
    members: list[int]


def merge(places: Sequence[Place], *, limit: int) -> list[Merged]:
    """Make at most `limit` passages of chunks, which come best first; so do the passages.

    A chunk next to a passage becomes part of it, and two passages become one when what stood
    between them is found. What this leaves free is filled with the next chunks, until there is as
    much text as in `limit` chunks of full length. `members` are indices of `places`; pass more than
    `limit` places for some to be left to fill with.
    """
    room = limit * MAX_CHARACTERS
    passages: dict[int, Merged] = {}  # by the rank of the best chunk in it
    found: dict[tuple[UUID, int], int] = {}  # the passage that a chunk is in
    for rank, place in enumerate(places):
        room -= place.end - place.start
        neighbours = {
            found[neighbour]
            for neighbour in (
                (place.document_id, place.ordinal - 1),
                (place.document_id, place.ordinal + 1),
            )
            if neighbour in found
        }
        if (passages and room < 0) or (not neighbours and len(passages) >= limit):
            break
        merged = Merged(place.document_id, place.start, place.end, [rank])
        for joined in neighbours:
            other = passages.pop(joined)
            merged.start = min(merged.start, other.start)
            merged.end = max(merged.end, other.end)
            merged.members += other.members
        merged.members.sort()
        passages[merged.members[0]] = merged
        for member in merged.members:
            found[places[member].document_id, places[member].ordinal] = merged.members[0]
    return [passages[best] for best in sorted(passages)]
