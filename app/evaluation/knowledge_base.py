"""A knowledge base of its own for each collection, so that the user's is never touched.

It lies below `VAR_DIR/eval`, is embedded whatever the settings name, and is kept: what is stored
of a document stays until the document changes, and so does what is embedded.
"""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import anyio
from anyio import to_thread

from app.accounts.models import LOCAL_ACCOUNT
from app.core.database import Queries
from app.evaluation.collection import JudgedDocument
from app.knowledge.document_store import (
    RECIPE,
    Document,
    build_document,
    find_embedded,
    parts,
    store_documents,
    texts_of,
    to_bytes,
)
from app.knowledge.embedding import Embedder
from app.knowledge.tokens import TokenCounter
from app.resources.service import Resources, open_resources
from settings import Settings

__all__ = ["Progress", "open_knowledge_base"]

# Takes the name of a stage, how much of it is done, and how much there is to do.
Progress = Callable[[str, int, int], None]

INDEXING_SEC: Final = 600
_MAX_NAME: Final = 40


@asynccontextmanager
async def open_knowledge_base(
    settings: Settings, location: Path, documents: Sequence[JudgedDocument], progress: Progress
) -> AsyncIterator[Resources]:
    """Open the knowledge base that holds the documents of `location`, and nothing else.

    Raises:
        AppError, StartupError: it can't be opened or filled.
    """
    async with open_resources(_own_settings(settings, location)) as resources:
        await _mirror(resources, location, documents, progress)
        progress("indexing", 0, 1)
        with anyio.fail_after(INDEXING_SEC):
            await resources.follower.caught_up()
        yield resources


def _own_settings(settings: Settings, location: Path) -> Settings:
    key = hashlib.sha256(f"{location}\0{settings.embedding_model}".encode()).hexdigest()[:12]
    # A name for people; the key is what tells it from others.
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", location.name)[:_MAX_NAME]
    var_dir = settings.var_dir / "eval" / f"{name}-{key}"
    own = settings.model_copy(
        update={"var_dir": var_dir, "database_url": None, "qdrant_url": None, "qdrant_host": None}
    )
    var_dir.mkdir(parents=True, exist_ok=True)
    if not own.models_dir.is_symlink():
        own.models_dir.symlink_to(settings.models_dir)
    return own


async def _mirror(
    resources: Resources, location: Path, documents: Sequence[JudgedDocument], progress: Progress
) -> None:
    database = resources.database
    source_id, stored = await database.run(_find_stored, location)
    vanished = stored.keys() - {document.id for document in documents}
    await database.run(_delete, source_id, sorted(vanished))
    wanted = [doc for doc in documents if stored.get(doc.id) != (_hash(doc), RECIPE)]
    embedder = resources.embedder
    built = await to_thread.run_sync(_build, source_id, wanted, embedder.tokens)
    texts = texts_of(built)
    known = await _embedded(resources, texts)
    done, missing = 0, len(texts.keys() - known)
    progress("embedding", done, missing)
    for batch in parts(built):
        vectors: dict[str, bytes] = {}
        new = [(key, text) for key, text in texts_of(batch).items() if key not in known]
        for part in parts(new):
            matrix = await to_thread.run_sync(embedder.embed, [text for _, text in part])
            vectors |= zip((key for key, _ in part), map(to_bytes, matrix), strict=True)
            done += len(part)
            progress("embedding", done, missing)
        await database.run(_store, source_id, embedder, batch, vectors)
        known |= vectors.keys()


def _build(
    source_id: UUID, documents: Sequence[JudgedDocument], tokens: TokenCounter
) -> list[Document]:
    return [
        build_document(
            source_id,
            document.id,
            document.text,
            content_hash=_hash(document),
            markdown=True,
            tokens=tokens,
            title=document.title or None,
        )
        for document in documents
    ]


def _hash(document: JudgedDocument) -> bytes:
    return hashlib.sha256(f"{document.title}\0{document.text}".encode()).digest()


def _find_stored(queries: Queries, location: Path) -> tuple[UUID, dict[str, tuple[bytes, str]]]:
    source_id: UUID = queries.upsert_source(
        account_id=LOCAL_ACCOUNT, kind="folder", location=str(location)
    )
    rows = queries.list_document_versions(source_id=source_id)
    return source_id, {row["path"]: (bytes(row["content_hash"]), row["recipe"]) for row in rows}


def _delete(queries: Queries, source_id: UUID, paths: Sequence[str]) -> None:
    queries.delete_documents(source_id=source_id, paths=json.dumps(paths))


async def _embedded(resources: Resources, texts: Iterable[str]) -> set[str]:
    model = resources.embedder.model_name
    known: set[str] = set()
    for keys in parts(list(texts)):
        known |= await resources.database.run(find_embedded, model, keys)
    return known


def _store(
    queries: Queries,
    source_id: UUID,
    embedder: Embedder,
    documents: Sequence[Document],
    vectors: dict[str, bytes],
) -> None:
    queries.lock_source(source_id=source_id)
    lost = store_documents(
        queries,
        source_id,
        embedder.model_name,
        documents,
        vectors,
        dimensions=embedder.dimensions,
    )
    assert not lost, "nothing removes vectors from this knowledge base"
