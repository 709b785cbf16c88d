"""From a folder to documents, chunks and embeddings in PostgreSQL; the indexes follow.

Every batch of documents is one transaction, so a run that is killed has stored whole
documents only, and the next run goes on from there: what is stored with the same content
is left alone, and a text that has a vector is not embedded again.
"""

import asyncio
import base64
import functools
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import UUID, uuid5

from anyio import to_thread

from app.core.database import Database, Queries
from app.knowledge.chunking import MAX_CHARACTERS, split, title_of
from app.knowledge.files import FoundFile, Skipped, TextFile, list_files, read_text
from app.knowledge.index_model import register_model, require_model_of_index

if TYPE_CHECKING:
    # An unchanged folder needs neither.
    from app.knowledge.embedding import Embedder, Vector

__all__ = ["IngestionReport", "Progress", "ingest_folder"]

# How a file becomes text and chunks. Change the first part whenever reading or chunking changes,
# so that stored documents are cut again.
RECIPE = f"1:{MAX_CHARACTERS}"
# About so many chunks are a transaction, so many texts a call of the model, so many rows a
# statement: the bar moves every few seconds, and a big document needs no big statement.
BATCH_SIZE = 256
MARKDOWN = (".md", ".mdx")
FLOAT32_BYTES = 4

T = TypeVar("T")


class Progress(Protocol):
    """Hears how far an ingestion is."""

    def start(self, files: int) -> None:
        """The number of files is known."""

    def advance(self, files: int, passages: int) -> None:
        """That many more files are done, and that many more passages, be it of files to come."""


@dataclass(slots=True)
class IngestionReport:
    """What one run did."""

    stored: int = 0
    unchanged: int = 0
    removed: int = 0
    passages: int = 0
    embedded: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage with its identity, as it is stored."""

    row: dict[str, Any]
    content_hash: str
    embedded_text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A file that is to be stored, with its chunks."""

    id: UUID
    row: dict[str, Any]
    chunks: list[Chunk]


async def ingest_folder(
    database: Database,
    load_embedder: "Callable[[], Embedder]",
    root: Path,
    *,
    model: str,
    max_bytes: int,
    progress: Progress,
) -> IngestionReport:
    """Make the knowledge base mirror a folder: new and changed files in, vanished files out.

    The model is loaded once, and only when there is something to embed.

    Raises:
        FolderError: the folder can't be read.
        StartupError: the knowledge base was embedded with another model.
        DatabaseUnavailable: PostgreSQL can't be reached; what was stored so far stays.
    """
    root, files, skipped = await to_thread.run_sync(_list, root, max_bytes)
    progress.start(len(files))
    source_id, versions = await database.run(_open_source, str(root), model)
    report = IngestionReport(skipped=skipped)
    run = _Run(database, functools.cache(load_embedder), model, source_id, report, progress)
    await run.store(_changed(files, root, source_id, versions, report, progress))
    for paths in _parts(_vanished(versions.keys(), files, report.skipped)):
        report.removed += await database.run(_remove, source_id, paths)
    # It looks at every vector, so not when there can't be anything to remove.
    if versions and (report.stored or report.removed):
        await database.run(_prune)
    return report


def _list(root: Path, max_bytes: int) -> tuple[Path, list[FoundFile], list[Skipped]]:
    root = root.resolve()
    return root, *list_files(root, max_bytes=max_bytes)


@dataclass(frozen=True, slots=True)
class _Run:
    database: Database
    load_embedder: "Callable[[], Embedder]"
    model: str
    source_id: UUID
    report: IngestionReport
    progress: Progress

    async def store(self, documents: Iterator[Document]) -> None:
        """Embed a batch while the one before is being stored."""
        storing: asyncio.Task[None] | None = None
        try:
            while batch := await to_thread.run_sync(_take_batch, documents):
                texts = _texts(batch)
                embedded = await self.database.run(_find_embedded, self.model, list(texts))
                vectors = await self._embed(texts, texts.keys() - embedded)
                if storing:
                    await storing
                storing = asyncio.create_task(self._store_batch(batch, vectors))
        finally:
            if storing:
                await storing

    async def _embed(self, texts: dict[str, str], wanted: Iterable[str]) -> dict[str, bytes]:
        vectors: dict[str, bytes] = {}
        for part in _parts(sorted(wanted)):
            matrix = await to_thread.run_sync(self._embed_texts, [texts[h] for h in part])
            vectors |= zip(part, map(_to_bytes, matrix), strict=True)
            self.report.embedded += len(part)
            self.progress.advance(0, len(part))
        return vectors

    def _embed_texts(self, texts: list[str]) -> "Vector":
        return self.load_embedder().embed(texts)

    async def _store_batch(self, batch: Sequence[Document], vectors: dict[str, bytes]) -> None:
        # Another run may have removed vectors since we looked, as no longer used.
        while lost := await self.database.run(_store, self.source_id, self.model, batch, vectors):
            vectors |= await self._embed(_texts(batch), lost)
        passages = sum(len(document.chunks) for document in batch)
        self.report.stored += len(batch)
        self.report.passages += passages
        # Those that were embedded have been counted then.
        self.progress.advance(len(batch), passages - len(vectors))


def _changed(
    files: Sequence[FoundFile],
    root: Path,
    source_id: UUID,
    versions: dict[str, tuple[bytes, str]],
    report: IngestionReport,
    progress: Progress,
) -> Iterator[Document]:
    for found in files:
        file = read_text(found, root)
        if isinstance(file, Skipped):
            report.skipped.append(file)
        elif versions.get(file.path) == (file.content_hash, RECIPE):
            report.unchanged += 1
        else:
            if file.note:
                report.notes.append((file.path, file.note))
            yield _document(source_id, file)
            continue
        progress.advance(1, 0)


def _document(source_id: UUID, file: TextFile) -> Document:
    document_id = uuid5(source_id, file.path)
    row = {
        "id": str(document_id),
        "path": file.path,
        "title": title_of(file.text, file.path),
        "content_hash": file.content_hash.hex(),
        "recipe": RECIPE,
        "text": file.text,
    }
    return Document(document_id, row, list(_chunks(document_id, file)))


def _chunks(document_id: UUID, file: TextFile) -> Iterator[Chunk]:
    markdown = file.path.lower().endswith(MARKDOWN)
    passages = split(file.text, max_characters=MAX_CHARACTERS, markdown=markdown)
    seen: Counter[str] = Counter()
    for ordinal, passage in enumerate(passages):
        text = passage.embedded_text
        content_hash = hashlib.sha256(text.encode()).hexdigest()
        row = {
            "id": str(uuid5(document_id, f"{content_hash}:{seen[content_hash]}")),
            "document_id": str(document_id),
            "ordinal": ordinal,
            "start_offset": passage.start,
            "end_offset": passage.end,
            "heading_path": passage.heading_path,
            "content_hash": content_hash,
            "text": passage.text,
        }
        seen[content_hash] += 1
        yield Chunk(row, content_hash, text)


def _texts(batch: Sequence[Document]) -> dict[str, str]:
    return {chunk.content_hash: chunk.embedded_text for doc in batch for chunk in doc.chunks}


def _vanished(
    stored: Iterable[str], files: Sequence[FoundFile], skipped: Sequence[Skipped]
) -> list[str]:
    """Return the stored paths whose files are gone, or can no longer be used."""
    # What can't be read just now, a folder for instance, says nothing of what is in it.
    unknown = tuple(f"{skip.path}/" for skip in skipped if skip.unreadable)
    present = {file.path for file in files} - {skip.path for skip in skipped}
    return sorted(
        path for path in stored if path not in present and not f"{path}/".startswith(unknown)
    )


def _take_batch(documents: Iterator[Document]) -> list[Document]:
    batch: list[Document] = []
    size = 0
    while size < BATCH_SIZE and (document := next(documents, None)) is not None:
        batch.append(document)
        # Much text may be few chunks, or none: blank lines, front matter.
        size += 1 + max(len(document.chunks), len(document.row["text"]) // MAX_CHARACTERS)
    return batch


def _open_source(
    queries: Queries, location: str, model: str
) -> tuple[UUID, dict[str, tuple[bytes, str]]]:
    require_model_of_index(queries, model)
    source_id = queries.upsert_source(kind="folder", location=location)
    rows = queries.list_document_versions(source_id=source_id)
    return source_id, {row["path"]: (bytes(row["content_hash"]), row["recipe"]) for row in rows}


def _find_embedded(queries: Queries, model: str, content_hashes: list[str]) -> set[str]:
    rows = queries.list_embedded(model=model, content_hashes=json.dumps(content_hashes))
    return {row["content_hash"] for row in rows}


def _store(
    queries: Queries,
    source_id: UUID,
    model: str,
    batch: Sequence[Document],
    vectors: dict[str, bytes],
) -> set[str]:
    """Store a batch, unless vectors are missing; return the hashes of the missing ones."""
    if vectors:
        dimensions = len(next(iter(vectors.values()))) // FLOAT32_BYTES
        register_model(queries, model, dimensions)
    # Two runs over the same folder store one after the other.
    queries.lock_source(source_id=source_id)
    queries.share_embeddings()
    unknown = _texts(batch).keys() - vectors.keys()
    if lost := unknown - _find_embedded(queries, model, list(unknown)):
        return lost
    chunks = [chunk.row for document in batch for chunk in document.chunks]
    queries.upsert_documents(
        source_id=source_id, documents=_json([document.row for document in batch])
    )
    queries.delete_other_chunks(
        document_ids=_array(document.id for document in batch),
        chunk_ids=_array(chunk["id"] for chunk in chunks),
    )
    for rows in _parts(chunks):
        queries.upsert_chunks(chunks=_json(rows))
    # In one order everywhere, so that two runs can't wait for each other.
    for new in _parts(sorted(vectors.items())):
        queries.insert_embeddings(model=model, embeddings=_json(list(map(_embedding_row, new))))
    return set()


def _remove(queries: Queries, source_id: UUID, paths: Sequence[str]) -> int:
    queries.lock_source(source_id=source_id)
    removed: int = queries.delete_documents(source_id=source_id, paths=_json(paths))
    return removed


def _prune(queries: Queries) -> None:
    """Remove the vectors of texts that are nowhere any more.

    A transaction of its own: it waits for all who store, and they may wait for a source's lock.
    """
    queries.own_embeddings()
    queries.delete_unused_embeddings()


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + BATCH_SIZE] for start in range(0, len(items), BATCH_SIZE))


def _embedding_row(item: tuple[str, bytes]) -> dict[str, str]:
    content_hash, vector = item
    return {"content_hash": content_hash, "vector": base64.b64encode(vector).decode()}


def _to_bytes(vector: "Vector") -> bytes:
    return vector.astype("<f4").tobytes()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _array(ids: Iterable[object]) -> str:
    """Return ids as a literal of a PostgreSQL array."""
    return f"{{{','.join(map(str, ids))}}}"
