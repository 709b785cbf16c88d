"""What the tools return: the same once for programs, as JSON, and once for models, as text."""

from collections.abc import Iterator
from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from app.chat.models import AnswerWithSources, Citation, SourceText
from app.core.links import document_url
from app.knowledge.documents.models import DocumentPart
from app.knowledge.search.models import Hit, SearchResult
from app.knowledge.sources.models import Source
from settings import Settings

__all__ = ["AnswerResult", "DocumentResult", "SearchResults", "SourcesResult"]

START = "Characters into the document's text, counted from 0."


class Place(BaseModel):
    """Where something stands."""

    document_id: UUID
    title: str = Field(examples=["Ingestion"])
    path: str = Field(examples=["ingestion.md"])
    url: str | None = Field(description="Where the document comes from, if that is on the web.")
    document_url: str = Field(
        description="The passage on bRAG's own page.",
        examples=["http://127.0.0.1:8000/#/documents/0199f0a2-7a3e-7c1e-9d2b-0f6a3c5b8d11"],
    )
    start: int = Field(description=START, examples=[120])
    end: int = Field(description="Exclusive.", examples=[640])


class AnswerSource(Place):
    """A passage that an answer was made from; `[number]` in the answer refers to it."""

    number: int = Field(examples=[1])
    heading_path: list[str] = Field(examples=[["Ingestion", "Folders"]])

    @classmethod
    def of(cls, source: SourceText, settings: Settings) -> Self:
        """Return a source of an answer, with the link to it."""
        assert source.document_id is not None, "only selected texts have none"
        return cls(
            document_id=source.document_id,
            title=source.title,
            path=source.path,
            url=source.url,
            document_url=document_url(settings, source.document_id, source.start, source.end),
            start=source.start,
            end=source.end,
            number=source.number,
            heading_path=source.heading_path,
        )

    @property
    def name(self) -> str:
        """The source as a person would name it."""
        return f"{' > '.join((self.title, *self.heading_path))} ({self.path})"


class AnswerCitation(Place):
    """A marker `[n]` of an answer, with the document's own sentence that supports it best."""

    marker: int = Field(examples=[1])
    quote: str | None = Field(
        description="`text[start:end]` of the document; null when it has changed since.",
        examples=["To ingest a folder, run `python -m app ingest PATH`."],
    )
    verified: bool = Field(description="Whether the quote was found to support the answer.")

    @classmethod
    def of(cls, citation: Citation, settings: Settings) -> Self:
        """Return a citation of an answer, with the link to it."""
        assert citation.document_id is not None, "only selected texts have none"
        return cls(
            document_id=citation.document_id,
            title=citation.title,
            path=citation.path,
            url=citation.url,
            document_url=document_url(settings, citation.document_id, citation.start, citation.end),
            start=citation.start,
            end=citation.end,
            marker=citation.marker,
            quote=citation.quote,
            verified=citation.verified,
        )


class AnswerResult(BaseModel):
    """An answer from the documents."""

    answer: str = Field(examples=["To ingest a folder, run `python -m app ingest PATH`. [1]"])
    found: bool = Field(
        description="Whether the documents hold something on it; else the answer only says so."
    )
    sources: list[AnswerSource]
    citations: list[AnswerCitation]
    model: str = Field(examples=["offline-extractive"])
    message_id: UUID = Field(description="Under which the answer is kept.")

    @classmethod
    def of(cls, answer: AnswerWithSources, settings: Settings) -> Self:
        """Return an answer with the links to its sources."""
        return cls(
            answer=answer.message,
            found=bool(answer.sources),
            sources=[AnswerSource.of(source, settings) for source in answer.sources],
            citations=[AnswerCitation.of(citation, settings) for citation in answer.citations],
            model=answer.model,
            message_id=answer.id,
        )

    def to_text(self) -> str:
        """The answer with what it cites as footnotes."""
        return "\n".join([self.answer, *self._footnotes()])

    def _footnotes(self) -> Iterator[str]:
        cited = {citation.marker for citation in self.citations}
        if cited:
            yield "\nSources:"
        for source in self.sources:
            if source.number not in cited:
                continue
            yield f"[{source.number}] {source.name}, document {source.document_id}"
            for citation in self.citations:
                if citation.marker == source.number:
                    doubt = "" if citation.verified else "not verified: "
                    yield f"    {doubt}{_quoted(citation.quote)} {citation.document_url}"


class Passage(Place):
    """A passage that was found."""

    rank: int = Field(description="From 1, the best first.", examples=[1])
    score: float = Field(description="Only scores of one search can be compared.", examples=[0.83])
    heading_path: list[str] = Field(examples=[["Ingestion", "Folders"]])
    source_id: UUID
    text: str

    @classmethod
    def of(cls, hit: Hit, settings: Settings) -> Self:
        """Return what was found, with the link to it."""
        return cls(
            document_id=hit.document_id,
            title=hit.title,
            path=hit.path,
            url=hit.url,
            document_url=document_url(settings, hit.document_id, hit.start, hit.end),
            start=hit.start,
            end=hit.end,
            rank=hit.rank,
            score=hit.score,
            heading_path=hit.heading_path,
            source_id=hit.source_id,
            text=hit.text,
        )

    def to_text(self) -> str:
        """The passage below what it is and where it stands."""
        name = " > ".join((self.title, *self.heading_path))
        return (
            f"{self.rank}. {name} ({self.path}), score {self.score:.3f}\n"
            f"document {self.document_id}, characters {self.start} to {self.end}\n"
            f"{self.document_url}\n\n{self.text}"
        )


class SearchResults(BaseModel):
    """Passages, best first."""

    passages: list[Passage]
    relevant: bool = Field(description="Whether they are likely to answer the query.")

    @classmethod
    def of(cls, result: SearchResult, settings: Settings) -> Self:
        """Return what a search has found."""
        return cls(
            passages=[Passage.of(hit, settings) for hit in result.hits], relevant=result.relevant
        )

    def to_text(self) -> str:
        """The passages, one below the other."""
        if not self.passages:
            return "Nothing was found. `list_sources` says what there is."
        doubt = "" if self.relevant else "These passages probably don't answer the query.\n\n"
        return doubt + "\n\n---\n\n".join(passage.to_text() for passage in self.passages)


class SourceSummary(BaseModel):
    """Where documents come from."""

    id: UUID
    name: str = Field(examples=["handbook"])
    kind: str = Field(examples=["git"])
    documents: int = Field(examples=[155])
    mine: bool = Field(description="Whether it is the caller's; else it is shared with them.")
    synced_at: datetime | None = Field(description="When it was last brought up to date.")

    @classmethod
    def of(cls, source: Source) -> Self:
        """Return a source without what only concerns its owner."""
        return cls.model_validate(source, from_attributes=True)

    def to_text(self) -> str:
        """The source in a line."""
        synced = f", synced {self.synced_at:%Y-%m-%d %H:%M} UTC" if self.synced_at else ""
        return f"- {self.name} ({self.kind}): {self.documents} documents{synced}, id {self.id}"


class SourcesResult(BaseModel):
    """A page of the sources."""

    sources: list[SourceSummary]
    next_cursor: str | None = Field(description="For the next page; null: this is the last one.")

    def to_text(self) -> str:
        """The sources, a line each."""
        if not self.sources:
            return "There are no more sources."
        lines = [source.to_text() for source in self.sources]
        if self.next_cursor is not None:
            lines.append(f"There are more: cursor {self.next_cursor}")
        return "\n".join(lines)


class DocumentResult(Place):
    """A document, or a part of it: `text` is `[start:end]` of the whole."""

    source_id: UUID
    updated_at: datetime
    characters: int = Field(description="Of the whole document.", examples=[4210])
    text: str
    next_start: int | None = Field(
        description="Where to go on; null: the document ends here, or the part that was asked for."
    )

    @classmethod
    def of(cls, part: DocumentPart, settings: Settings, *, wanted_end: int | None) -> Self:
        """Return a part; `wanted_end` is what was asked for, which may be further on."""
        last = part.characters if wanted_end is None else min(wanted_end, part.characters)
        return cls(
            document_id=part.id,
            title=part.title,
            path=part.path,
            url=part.url,
            document_url=document_url(settings, part.id, part.start, part.end),
            start=part.start,
            end=part.end,
            source_id=part.source_id,
            updated_at=part.updated_at,
            characters=part.characters,
            text=part.text,
            next_start=part.end if part.end < last else None,
        )

    def to_text(self) -> str:
        """The text below what it is a part of."""
        more = "" if self.next_start is None else f"; go on with start={self.next_start}"
        return (
            f"{self.title} ({self.path}), characters {self.start} to {self.end} of "
            f"{self.characters}{more}\n{self.url or self.document_url}\n\n{self.text}"
        )


def _quoted(quote: str | None) -> str:
    return "(its document has changed)" if quote is None else f"“{' '.join(quote.split())}”"
