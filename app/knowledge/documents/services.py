"""Taking in, showing and deleting documents."""

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID, uuid5

from app.accounts.exceptions import Forbidden
from app.accounts.models import Caller, Visibility
from app.core.database import Database, Queries
from app.core.exceptions import Conflict, InvalidRequest, NotFound
from app.core.idempotency import NO_CLAIM, Claim
from app.core.origin import origin
from app.core.paging import decode_cursor, encode_cursor
from app.knowledge.documents.models import (
    MAX_PATH_CHARACTERS,
    AcceptedDocument,
    AcceptedDocuments,
    Document,
    DocumentChunk,
    DocumentPart,
    DocumentText,
    NewDocument,
)
from app.knowledge.ingestions.models import Ingestion

__all__ = [
    "Upload",
    "accept",
    "delete",
    "find",
    "find_page",
    "find_part",
    "path_of",
    "replace",
    "upload_of",
]

# An account has one source of each, made when it is needed.
LOCATIONS = {Visibility.PRIVATE: "uploads", Visibility.SHARED: "shared uploads"}


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
    visibility: Visibility | None = None


def upload_of(new: NewDocument) -> Upload:
    """Return a text as what is stored of it."""
    return Upload(
        path=new.path or path_of(new.title),
        content=new.text.encode(),
        media_type="text/markdown",
        title=new.title,
        metadata=new.metadata,
        visibility=new.visibility,
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


async def accept(
    database: Database, caller: Caller, uploads: Sequence[Upload], claim: Claim = NO_CLAIM
) -> AcceptedDocuments:
    """Keep what was handed in, all of one visibility, and begin to ingest it.

    Raises:
        InvalidRequest: two of them have one path.
    """
    names = Counter(upload.path for upload in uploads)
    if twice := [path for path, number in names.items() if number > 1]:
        raise InvalidRequest(
            f"file: there are several of the name {twice[0]}; send them one by one"
        )
    await claim.take(uploads)
    return await database.run(_accept, caller, uploads, claim)


async def replace(
    database: Database,
    caller: Caller,
    document_id: UUID,
    upload: Upload,
    claim: Claim = NO_CLAIM,
) -> AcceptedDocuments:
    """Keep another content for an uploaded document, and begin to ingest it.

    Raises:
        NotFound: there is none that the caller may read.
        Forbidden: it is somebody else's.
        Conflict: it was not uploaded.
        InvalidRequest: its visibility would be another.
    """
    await claim.take(upload)
    return await database.run(_replace, caller, document_id, upload, claim)


async def find(database: Database, caller: Caller, document_id: UUID) -> DocumentText:
    """Return a document with its text and chunks.

    Raises:
        NotFound: there is none that the caller may read.
    """
    return await database.run(_find, caller, document_id)


async def find_part(
    database: Database, caller: Caller, document_id: UUID, *, start: int, characters: int
) -> DocumentPart:
    """Return `characters` of a document's text from `start` on, or fewer where it ends.

    Raises:
        NotFound: there is none that the caller may read.
        InvalidRequest: it ends before `start`.
    """
    row = await database.run_statement(_find_part, caller, document_id, start, characters)
    return DocumentPart(**row, start=start)


async def find_page(
    database: Database,
    caller: Caller,
    *,
    source_id: UUID | None,
    path_prefix: str | None,
    limit: int,
    cursor: str | None,
) -> tuple[list[Document], str | None]:
    """Return a page of what the caller may read, newest first, and the cursor of the next page."""
    time, last_id = decode_cursor(cursor)
    rows = await database.run_statement(
        _page, caller, source_id, path_prefix, time, last_id, limit + 1
    )
    page = [Document(**row) for row in rows[:limit]]
    more = len(rows) > limit
    return page, encode_cursor(page[-1].created_at, page[-1].id) if more else None


async def delete(database: Database, caller: Caller, document_id: UUID) -> None:
    """Remove an uploaded document: from now on no search finds it.

    Raises:
        NotFound: there is none that the caller may read.
        Forbidden: it is somebody else's.
        Conflict: it was not uploaded.
    """
    await database.run(_delete, caller, document_id)


def _accept(
    queries: Queries, caller: Caller, uploads: Sequence[Upload], claim: Claim
) -> AcceptedDocuments:
    (visibility,) = {upload.visibility or caller.default_visibility for upload in uploads}
    source_id = queries.upsert_upload_source(
        account_id=caller.account_id, location=LOCATIONS[visibility], visibility=visibility
    )
    queries.lock_source(source_id=source_id)
    return claim.complete(queries, _keep(queries, caller, source_id, uploads))


def _keep(
    queries: Queries, caller: Caller, source_id: UUID, uploads: Sequence[Upload]
) -> AcceptedDocuments:
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
    ingestion_id = queries.insert_upload_ingestion(
        source_id=source_id, listed=len(by_path), origin=origin()
    )
    queries.insert_upload_items(
        ingestion_id=ingestion_id, source_id=source_id, paths=json.dumps(list(by_path))
    )
    list(queries.defer_document_jobs(ingestion_id=ingestion_id, paths=None))
    return AcceptedDocuments(
        ingestion=Ingestion.shown_to(caller, queries.find_ingestion(ingestion_id=ingestion_id)),
        documents=[AcceptedDocument(id=ids[path], path=path) for path in by_path],
    )


def _replace(
    queries: Queries, caller: Caller, document_id: UUID, upload: Upload, claim: Claim
) -> AcceptedDocuments:
    source = _lock_source(queries, caller, document_id)
    path = queries.find_upload_path(
        document_id=document_id, account_id=caller.account_id, is_admin=caller.is_admin
    )
    if path is None:
        _refuse(queries, caller, document_id)
    if upload.visibility not in (None, source["visibility"]):
        raise InvalidRequest(
            f"visibility: must stay {source['visibility']}; upload another document"
        )
    accepted = _keep(queries, caller, source["id"], [dataclasses.replace(upload, path=path)])
    return claim.complete(queries, accepted)


def _find(queries: Queries, caller: Caller, document_id: UUID) -> DocumentText:
    row = queries.find_document(document_id=document_id, account_id=caller.account_id)
    if row is None:
        raise DocumentNotFound
    chunks = queries.list_chunks(document_id=document_id, account_id=caller.account_id)
    return DocumentText(**row, chunks=[DocumentChunk(**chunk) for chunk in chunks])


def _find_part(
    queries: Queries, caller: Caller, document_id: UUID, start: int, characters: int
) -> dict[str, Any]:
    row: dict[str, Any] | None = queries.find_document_part(
        document_id=document_id, account_id=caller.account_id, start=start, length=characters
    )
    if row is None:
        raise DocumentNotFound
    if start and start >= row["characters"]:
        raise InvalidRequest(f"start: the document has only {row['characters']} characters")
    return row


def _page(
    queries: Queries,
    caller: Caller,
    source_id: UUID | None,
    path_prefix: str | None,
    time: datetime | None,
    last_id: UUID | None,
    limit: int,
) -> list[dict[str, Any]]:
    return list(
        queries.list_documents(
            account_id=caller.account_id,
            source_id=source_id,
            path_prefix=path_prefix,
            before_time=time,
            before_id=last_id,
            limit=limit,
        )
    )


def _delete(queries: Queries, caller: Caller, document_id: UUID) -> None:
    # A job that is about to store it notices that it is gone.
    _lock_source(queries, caller, document_id)
    writable: dict[str, object] = {
        "document_id": document_id,
        "account_id": caller.account_id,
        "is_admin": caller.is_admin,
    }
    if not queries.delete_upload(**writable):
        _refuse(queries, caller, document_id)
    queries.delete_document(**writable)
    list(queries.defer_prune_job())


def _lock_source(queries: Queries, caller: Caller, document_id: UUID) -> dict[str, Any]:
    """Lock where an upload belongs, so that it stays while it is looked at, and return that."""
    source: dict[str, Any] | None = queries.lock_upload_source(
        document_id=document_id, account_id=caller.account_id, is_admin=caller.is_admin
    )
    if source is None:
        _refuse(queries, caller, document_id)
    return source


def _refuse(queries: Queries, caller: Caller, document_id: UUID) -> NoReturn:
    row = queries.find_document(document_id=document_id, account_id=caller.account_id)
    if row is None:
        raise DocumentNotFound
    if not row["mine"] and not caller.is_admin:
        raise Forbidden("This document is somebody else's: only they and admins may change it.")
    raise DocumentOfSource
