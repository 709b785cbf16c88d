"""What the tools are given: small, flat, and with limits that a model sees beforehand."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from app.core.text import storable
from app.knowledge.search.models import PathPrefix, SearchFilters

__all__ = [
    "MAX_PART_CHARACTERS",
    "Arguments",
    "AskArguments",
    "GetDocumentArguments",
    "ListSourcesArguments",
    "SearchArguments",
]

# About 5,000 tokens: some of it, and not a whole book, goes into a model's context at a time.
MAX_PART_CHARACTERS = 20_000
MAX_CHARACTERS = 1_000_000_000
MAX_PASSAGES = 20
MAX_FILTERS = 20
MAX_SOURCES = 100

Text = Annotated[str, AfterValidator(storable)]
PathPrefixes = Annotated[
    list[PathPrefix],
    Field(
        max_length=MAX_FILTERS,
        description="Only documents in these folders, or these files: `docs/a` finds "
        "`docs/a/b.md`, not `docs/ab.md`.",
        examples=[["docs/guide"]],
    ),
]
SourceIds = Annotated[
    list[UUID],
    Field(
        max_length=MAX_FILTERS, description="Only documents of these sources, from `list_sources`."
    ),
]


class Arguments(BaseModel):
    """Arguments of a tool."""

    # A misspelt argument must not be taken for a wish that was granted.
    model_config = ConfigDict(extra="forbid")


class _WithFilters(Arguments):
    path_prefixes: PathPrefixes = []
    source_ids: SourceIds = []

    @property
    def filters(self) -> SearchFilters | None:
        """Where to look, as the search knows it."""
        if not (self.path_prefixes or self.source_ids):
            return None
        return SearchFilters(path_prefixes=self.path_prefixes, source_ids=self.source_ids)


class AskArguments(_WithFilters):
    """A question."""

    question: Text = Field(
        min_length=1,
        description="A whole question, which can be understood without what was said before.",
        examples=["How do I ingest a folder?"],
    )


class SearchArguments(_WithFilters):
    """A search."""

    query: Text = Field(
        min_length=1,
        description="A question or keywords, in the documents' language.",
        examples=["ingest a folder"],
    )
    top_k: int = Field(default=5, ge=1, le=MAX_PASSAGES, description="How many passages at most.")
    # Spelled out, since not every client follows references within a schema.
    mode: Literal["hybrid", "dense", "bm25"] = Field(
        default="hybrid",
        description="`dense` searches by meaning, `bm25` by words (names, error messages, code), "
        "`hybrid` by both.",
    )


class ListSourcesArguments(Arguments):
    """A page of the sources."""

    limit: int = Field(default=50, ge=1, le=MAX_SOURCES, description="How many at most.")
    cursor: str | None = Field(
        default=None, description="`next_cursor` of the page before; left out for the first page."
    )


class GetDocumentArguments(Arguments):
    """A document, or a part of it."""

    document_id: UUID = Field(
        description="From the results of `search` or `ask`.",
        examples=["0199f0a2-7a3e-7c1e-9d2b-0f6a3c5b8d11"],
    )
    start: int = Field(
        default=0, ge=0, le=MAX_CHARACTERS, description="The first character, counted from 0."
    )
    end: int | None = Field(
        default=None,
        ge=1,
        le=MAX_CHARACTERS,
        description="The character to stop before; left out for the document's end. At most "
        f"{MAX_PART_CHARACTERS} characters are returned at once: go on at `next_start`.",
    )

    @model_validator(mode="after")
    def _not_backwards(self) -> Self:
        if self.end is not None and self.end <= self.start:
            raise ValueError("end must be greater than start")
        return self
