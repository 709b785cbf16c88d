"""Whether documents and chunks belong together: offsets, hashes, chunks at all."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app.core.database import Database, Queries
from app.knowledge.doctor.findings import Examination, Finding, Severity, Stage
from app.knowledge.index_source import uuid_array
from app.knowledge.models import chunk_hash

__all__ = ["examine_texts"]

SHOWN = 3


@dataclass(slots=True)
class _Wrong:
    """Documents with wrong chunks, by id with their paths, and those chunks."""

    documents: dict[UUID, str] = field(default_factory=dict)
    chunks: list[UUID] = field(default_factory=list)

    def add(self, document: Mapping[str, Any], chunk: Mapping[str, Any]) -> None:
        self.documents[document["id"]] = document["path"]
        self.chunks.append(UUID(chunk["id"]))


async def examine_texts(database: Database, stage: Stage) -> Examination:
    """Compare every chunk with its document's text and its own hash."""
    counts = await database.run(lambda queries: queries.count_knowledge())
    documents, chunks = counts["documents"], counts["chunks"]
    misplaced, altered = _Wrong(), _Wrong()
    done, after = 0, UUID(int=0)
    while page := await database.run(_check_page, after, misplaced, altered):
        done, after = done + len(page), page[-1]
        stage("checking texts", done, max(done, documents))
    found = Examination([f"PostgreSQL: {documents:,} documents with {chunks:,} chunks"])
    if misplaced.chunks:
        found.findings.append(
            Finding(
                Severity.ERROR,
                f"{_some(misplaced)} have chunks that don't stand where they say in the text.",
                "have the next ingestion of their source store them anew",
                functools.partial(_outdate, database, misplaced.documents, ()),
            )
        )
    if altered.chunks:
        found.findings.append(
            Finding(
                Severity.ERROR,
                f"{_some(altered)} have chunks whose text is not what was embedded.",
                "remove these chunks, and have the next ingestion of their source store them anew",
                functools.partial(_outdate, database, altered.documents, altered.chunks),
            )
        )
    found.findings += await database.run(_count_unfinished)
    return found


def _check_page(queries: Queries, after: UUID, misplaced: _Wrong, altered: _Wrong) -> list[UUID]:
    """Check the next documents; return their ids."""
    documents = list(queries.documents_to_check(after=after))
    for document in documents:
        for chunk in document["chunks"]:
            if document["text"][chunk["start"] : chunk["end"]] != chunk["text"]:
                misplaced.add(document, chunk)
            if chunk["content_hash"] != chunk_hash(chunk["heading_path"], chunk["text"]):
                altered.add(document, chunk)
    return [document["id"] for document in documents]


def _count_unfinished(queries: Queries) -> list[Finding]:
    findings = []
    if outdated := queries.count_outdated_documents():
        findings.append(
            Finding(
                Severity.ERROR,
                f"{outdated:,} documents wait to be stored anew. Ingest their sources again.",
            )
        )
    if bare := queries.count_documents_without_chunks():
        findings.append(
            Finding(
                Severity.NOTE,
                f"{bare:,} documents have no chunks and can't be found. That is right if they hold "
                "nothing but front matter.",
            )
        )
    return findings


async def _outdate(
    database: Database, documents: Mapping[UUID, str], chunks: Iterable[UUID], stage: Stage
) -> None:
    def outdate(queries: Queries) -> None:
        queries.outdate_documents(ids=uuid_array(documents))
        queries.delete_chunks(ids=uuid_array(chunks))

    await database.run(outdate)
    stage("marking documents", len(documents), len(documents))


def _some(wrong: _Wrong) -> str:
    paths = list(wrong.documents.values())
    return f"{len(paths):,} documents ({', '.join(paths[:SHOWN] + ['…'] * (len(paths) > SHOWN))})"
