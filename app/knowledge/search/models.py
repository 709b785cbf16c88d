"""Requests and answers of a search."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from app.core.text import storable
from app.knowledge.index_payload import MAX_FOLDERS
from app.knowledge.ranking import Ranked
from app.knowledge.retrieval import SearchMode
from app.knowledge.vector_index import IndexFilter

__all__ = ["Hit", "LegScore", "PathPrefix", "SearchFilters", "SearchRequest", "SearchResult"]

MAX_VALUES = 100
MAX_TOP_K = 100

Text = Annotated[str, AfterValidator(storable)]


def _not_too_deep(prefix: str) -> str:
    if prefix.strip("/").count("/") >= MAX_FOLDERS:
        raise ValueError(f"must not be deeper than {MAX_FOLDERS} folders")
    return prefix


PathPrefix = Annotated[Text, Field(max_length=500), AfterValidator(_not_too_deep)]


class SearchFilters(BaseModel):
    """Where to look: all that is given must fit, of each list one entry.

    What exists nowhere, or is private to another account, finds nothing.
    """

    model_config = ConfigDict(extra="forbid")

    source_ids: list[UUID] = Field(default=[], max_length=MAX_VALUES)
    document_ids: list[UUID] = Field(default=[], max_length=MAX_VALUES)
    path_prefixes: list[PathPrefix] = Field(
        default=[],
        max_length=MAX_VALUES,
        description="Folders or files: `docs/a` finds `docs/a/b.md`, not `docs/ab.md`.",
        examples=[["docs/guide"]],
    )
    updated_from: AwareDatetime | None = Field(
        default=None, description="When the document was stored or changed last."
    )
    updated_before: AwareDatetime | None = None

    @model_validator(mode="after")
    def _not_backwards(self) -> Self:
        begin, end = self.updated_from, self.updated_before
        if begin and end and begin >= end:
            raise ValueError("updated_from must be before updated_before")
        return self

    def to_index(self) -> IndexFilter:
        """Return the same in the index's terms."""
        return IndexFilter(
            source_ids=tuple(self.source_ids),
            document_ids=tuple(self.document_ids),
            path_prefixes=tuple(self.path_prefixes),
            updated_from=self.updated_from,
            updated_before=self.updated_before,
        )


class SearchRequest(BaseModel):
    """What to look for, and where."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"query": "How do I ingest a folder?", "top_k": 3}]},
    )

    query: Text
    top_k: int = Field(default=10, ge=1, le=MAX_TOP_K)
    mode: SearchMode | None = Field(default=None, description="Unset means `hybrid`.")
    filters: SearchFilters | None = None


class LegScore(BaseModel):
    """What one of the two searches says of a passage."""

    score: float = Field(description="The cosine, or the BM25 score.", examples=[0.71])
    rank: int = Field(description="From 1.", examples=[2])

    @classmethod
    def dense(cls, ranked: Ranked) -> Self | None:
        """Return what the search by meaning says of a candidate."""
        if ranked.dense_score is None or ranked.dense_rank is None:
            return None
        return cls(score=ranked.dense_score, rank=ranked.dense_rank)

    @classmethod
    def bm25(cls, ranked: Ranked) -> Self | None:
        """Return what the search by words says of a candidate."""
        if ranked.sparse_score is None or ranked.sparse_rank is None:
            return None
        return cls(score=ranked.sparse_score, rank=ranked.sparse_rank)


class Hit(BaseModel):
    """A chunk, with why it was found."""

    rank: int = Field(examples=[1])
    chunk_id: UUID
    document_id: UUID
    source_id: UUID
    source: str = Field(examples=["https://github.com/acme/handbook"])
    path: str = Field(examples=["ingestion.md"])
    title: str = Field(examples=["Ingestion"])
    url: str | None
    updated_at: datetime
    heading_path: list[str] = Field(examples=[["Ingestion", "Folders"]])
    start: int = Field(description="Characters into the document's text.", examples=[120])
    end: int = Field(description="Exclusive.", examples=[640])
    text: str = Field(examples=["To ingest a folder, run `python -m app ingest PATH`."])
    score: float = Field(
        description="What it was chosen by: `fused`, or the reranking model's score.",
        examples=[0.83],
    )
    fused: float = Field(description="Both searches fused, 0 to 1.", examples=[0.83])
    dense: LegScore | None = Field(
        description="What the search by meaning says; null when it was not asked, or the passage "
        "was not among its first hundred."
    )
    bm25: LegScore | None = Field(description="What the search by words says; null likewise.")


class SearchResult(BaseModel):
    """Passages, best first, and what happened."""

    query: str
    mode: SearchMode
    hits: list[Hit]
    relevance: float = Field(
        description="How likely it is that the hits answer the query, from 0 to 1.",
        examples=[0.91],
    )
    relevant: bool = Field(
        description="Whether a question would be answered from the hits, or with `nothing found`."
    )
    embedding_model: str
    timings_ms: dict[str, float] = Field(examples=[{"embed": 4.1, "index": 0.6, "passages": 1.9}])
