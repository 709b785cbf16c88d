"""Taking in, showing and deleting documents."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from app.core.database import Database, Queries
from app.core.exceptions import Conflict, InvalidRequest, NotFound
from app.core.paging import decode_cursor, encode_cursor
from app.knowledge.documents.models import (
    MAX_PATH_CHARACTERS,
    AcceptedDocument,
    AcceptedDocuments,
    Document,
    DocumentChunk,
    DocumentText,
    NewDocument,
)
from app.knowledge.ingestions.models import Ingestion

__all__ = ["Upload", "accept", "delete", "find", "find_page", "path_of", "replace", "upload_of"]

UPLOADS = "uploads"


class DocumentNotFound(NotFound):
    """There is no such document."""

    code = "document_not_found"


class DocumentOfSource(Conflict):
    """This document belongs to a source that is kept in sync: change it there."""

    code = "document_of_source"


@dataclass(frozen=True, slots=True)
class Upload:
    """What was handed in, before it is known what it is."""

    path: str
    content: bytes
    media_type: str | None
    title: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def upload_of(new: NewDocument) -> Upload:
    """Return a text as what is stored of it."""
    return Upload(
        path=new.path or path_of(new.title),
        content=new.text.encode(),
        media_type="text/markdown",
        title=new.title,
        metadata=new.metadata,
    )


def path_of(name: str) -> str:
    """Make a path of a file's name or a title.

    Raises:
        InvalidRequest: nothing is left of it.
    """
    # A browser may send a whole path, with the separators of its system.
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    path = "".join(char for char in last if char.isprintable()).strip()[:MAX_PATH_CHARACTERS]
    if path in ("", ".", ".."):
        raise InvalidRequest("file: must have a name")
    return path


async def accept(database: Database, uploads: Sequence[Upload]) -> AcceptedDocuments:
    """Keep what was handed in, and begin to ingest it.

    Raises:
        InvalidRequest: two of them have one path.
    """
    names = Counter(upload.path for upload in uploads)
    if twice := [path for path, number in names.items() if number > 1]:
        raise InvalidRequest(
            f"file: there are several of the name {twice[0]}; send them one by one"
        )
    return await database.run(_accept, uploads)


async def replace(database: Database, document_id: UUID, upload: Upload) -> AcceptedDocuments:
    """Keep another content for an uploaded document, and begin to ingest it.

    Raises:
        NotFound: there is none.
        Conflict: it was not uploaded.
    """
    return await database.run(_replace, document_id, upload)


async def find(database: Database, document_id: UUID) -> DocumentText:
    """Return a document with its text and chunks.

    Raises:
        NotFound: there is none.
    """
    return await database.run(_find, document_id)


async def find_page(
    database: Database,
    *,
    source_id: UUID | None,
    path_prefix: str | None,
    limit: int,
    cursor: str | None,
) -> tuple[list[Document], str | None]:
    """Return a page of documents, newest first, and the cursor of the next page."""
    time, last_id = decode_cursor(cursor)
    rows = await database.run_statement(_page, source_id, path_prefix, time, last_id, limit + 1)
    page = [Document(**row) for row in rows[:limit]]
    more = len(rows) > limit
    return page, encode_cursor(page[-1].created_at, page[-1].id) if more else None


async def delete(database: Database, document_id: UUID) -> None:
    """Remove an uploaded document: from now on no search finds it.

    Raises:
        NotFound: there is none.
        Conflict: it was not uploaded.
    """
    await database.run(_delete, document_id)


def _accept(queries: Queries, uploads: Sequence[Upload]) -> AcceptedDocuments:
    source_id = queries.upsert_source(kind="upload", location=UPLOADS)
    queries.lock_source(source_id=source_id)
    by_path = {upload.path: upload for upload in uploads}
    ids = {path: uuid5(source_id, path) for path in by_path}
    for path, upload in by_path.items():
        queries.upsert_upload(
            document_id=ids[path],
            source_id=source_id,
            path=path,
            title=upload.title,
            media_type=upload.media_type,
            metadata=json.dumps(upload.metadata),
            content=upload.content,
        )
    ingestion_id = queries.insert_upload_ingestion(source_id=source_id, listed=len(by_path))
    queries.insert_upload_items(
        ingestion_id=ingestion_id, source_id=source_id, paths=json.dumps(list(by_path))
    )
    list(queries.defer_document_jobs(ingestion_id=ingestion_id, paths=None))
    return AcceptedDocuments(
        ingestion=Ingestion(**queries.find_ingestion(ingestion_id=ingestion_id)),
        documents=[AcceptedDocument(id=ids[path], path=path) for path in by_path],
    )


def _replace(queries: Queries, document_id: UUID, upload: Upload) -> AcceptedDocuments:
    _lock_uploads(queries)
    path = queries.find_upload_path(document_id=document_id)
    if path is None:
        _refuse(queries, document_id)
    return _accept(
        queries,
        [Upload(path, upload.content, upload.media_type, upload.title, upload.metadata)],
    )


def _find(queries: Queries, document_id: UUID) -> DocumentText:
    row = queries.find_document(document_id=document_id)
    if row is None:
        raise DocumentNotFound
    chunks = queries.list_chunks(document_id=document_id)
    return DocumentText(**row, chunks=[DocumentChunk(**chunk) for chunk in chunks])


def _page(
    queries: Queries,
    source_id: UUID | None,
    path_prefix: str | None,
    time: datetime | None,
    last_id: UUID | None,
    limit: int,
) -> list[dict[str, Any]]:
    return list(
        queries.list_documents(
            source_id=source_id,
            path_prefix=path_prefix,
            before_time=time,
            before_id=last_id,
            limit=limit,
        )
    )


def _delete(queries: Queries, document_id: UUID) -> None:
    # A job that is about to store it notices that it is gone.
    _lock_uploads(queries)
    if not queries.delete_upload(document_id=document_id):
        _refuse(queries, document_id)
    queries.delete_document(document_id=document_id)
    list(queries.defer_prune_job())


def _lock_uploads(queries: Queries) -> None:
    source_id = queries.find_upload_source()
    if source_id is not None:
        queries.lock_source(source_id=source_id)


def _refuse(queries: Queries, document_id: UUID) -> None:
    if queries.find_document(document_id=document_id) is None:
        raise DocumentNotFound
    raise DocumentOfSource
