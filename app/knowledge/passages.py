"""What retrieval returns: chunks with their places and texts, from PostgreSQL."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from app.core.database import Database, Queries
from app.knowledge.merging import Merged, Place, merge
from app.knowledge.ranking import Ranked
from app.knowledge.source_names import cited_name

__all__ = ["Candidate", "RetrievedPassage", "load_candidates", "merged_passages"]

FLOAT32_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class RetrievedPassage:
    """A piece of a document, with why it was found; `document[start:end] == text`.

    It is a chunk, or several that follow one another: `chunk_id`, `heading_path` and `ranked` are
    those of the best of them.
    """

    chunk_id: UUID
    chunk_ids: tuple[UUID, ...]
    ordinal: int
    document_id: UUID
    source_id: UUID
    source: str
    path: str
    title: str
    url: str | None
    updated_at: datetime
    heading_path: tuple[str, ...]
    start: int
    end: int
    text: str
    ranked: Ranked
    # Both searches fused, where a reranker has given `ranked` another score.
    fused: float
    # Its best chunk by itself, where it is several.
    best: "RetrievedPassage | None" = None

    @property
    def forms(self) -> tuple["RetrievedPassage", ...]:
        """The passage, and what remains of it where that is too long."""
        return (self,) if self.best is None else (self, self.best)

    @property
    def score(self) -> float:
        """What it was chosen by: a higher one is better, those of two queries don't compare."""
        return self.ranked.score


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage with the vector that tells how much it is like others."""

    passage: RetrievedPassage
    vector: NDArray[np.float32]


def load_candidates(
    queries: Queries, account_id: UUID, ranked: Sequence[Ranked], model: str, dimensions: int
) -> list[Candidate]:
    """Return those of the ranked chunks that are there and may be read, in their order."""
    ids = ",".join(str(candidate.chunk_id) for candidate in ranked)
    found = queries.find_chunks(account_id=account_id, ids=f"{{{ids}}}", model=model)
    rows = {row["id"]: row for row in found}
    # A damaged vector must not fail every search that finds its chunk; `doctor` tells of it.
    usable = {
        chunk_id: row
        for chunk_id, row in rows.items()
        if len(row["vector"]) == FLOAT32_BYTES * dimensions
    }
    ordered = [(one, row) for one in ranked if (row := usable.get(one.chunk_id)) is not None]
    return [
        Candidate(
            RetrievedPassage(
                chunk_id=candidate.chunk_id,
                chunk_ids=(candidate.chunk_id,),
                ordinal=row["ordinal"],
                document_id=row["document_id"],
                source_id=row["source_id"],
                source=cited_name(
                    row["source_kind"], row["source_name"], row["location"], mine=row["mine"]
                ),
                path=row["path"],
                title=row["title"],
                url=row["url"],
                updated_at=row["updated_at"],
                heading_path=tuple(row["heading_path"]),
                start=row["start_offset"],
                end=row["end_offset"],
                text=row["text"],
                ranked=candidate,
                fused=candidate.score,
            ),
            np.frombuffer(row["vector"], dtype="<f4"),
        )
        for candidate, row in ordered
    ]


async def merged_passages(
    database: Database, account_id: UUID, passages: Sequence[RetrievedPassage], limit: int
) -> list[RetrievedPassage]:
    """Read chunks that follow one another as one passage: at most `limit`, best first.

    `passages` are single chunks, best first, more than `limit` for some to fill up with.
    """
    merged = merge([_place(passage) for passage in passages], limit=limit)
    joined = [one for one in merged if len(one.members) > 1]
    texts: dict[UUID, str] = {}
    if joined:
        texts = await database.run_statement(_load_texts, account_id, passages, joined)
    return [_passage(passages, one, texts) for one in merged]


def _place(passage: RetrievedPassage) -> Place:
    return Place(passage.document_id, passage.ordinal, passage.start, passage.end)


def _load_texts(
    queries: Queries,
    account_id: UUID,
    passages: Sequence[RetrievedPassage],
    merged: Sequence[Merged],
) -> dict[UUID, str]:
    """Return the texts of merged passages by the id of their best chunk."""
    ranges = [
        {
            "chunk_id": str(passages[one.members[0]].chunk_id),
            "document_id": str(one.document_id),
            "start": one.start,
            "end": one.end,
        }
        for one in merged
    ]
    rows = queries.read_ranges(account_id=account_id, ranges=json.dumps(ranges))
    return {row["chunk_id"]: row["text"] for row in rows}


def _passage(
    passages: Sequence[RetrievedPassage], merged: Merged, texts: Mapping[UUID, str]
) -> RetrievedPassage:
    best = passages[merged.members[0]]
    if (text := texts.get(best.chunk_id)) is None:
        return best
    members = sorted((passages[member] for member in merged.members), key=lambda one: one.start)
    # Only white space lies between chunks, unless the document was replaced a moment ago.
    if "".join(text.split()) != "".join("".join(member.text.split()) for member in members):
        return best
    ids = tuple(member.chunk_id for member in members)
    return replace(best, chunk_ids=ids, start=merged.start, end=merged.end, text=text, best=best)
