"""Documents with their chunks and vectors in PostgreSQL: built from text, stored as a whole.

A text that has a vector is not embedded again.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid5

from app.core.database import Queries
from app.knowledge.chunking import MAX_CHARACTERS, Passage, split, title_of
from app.knowledge.index_model import register_model, require_current_model
from app.knowledge.models import chunk_hash, embedded_text

if TYPE_CHECKING:
    from app.knowledge.embedding import Vector
    from app.knowledge.tokens import TokenCounter

__all__ = [
    "BATCH_SIZE",
    "KEEP_MODEL_HOURS",
    "RECIPE",
    "Document",
    "build_document",
    "find_embedded",
    "parts",
    "prune_embeddings",
    "store_documents",
    "texts_of",
    "to_bytes",
    "vector_rows",
]

# How a file becomes text and chunks. Change the first part whenever reading or chunking changes,
# so that stored documents are cut again.
RECIPE = f"5:{MAX_CHARACTERS}"
# So many texts are a call of the model, so many rows a statement: a bar moves every few seconds,
# and a big document needs no big statement.
BATCH_SIZE = 256
# A server that has not yet switched to another model goes on with its index, and may have to
# rebuild it; and who regrets the switch can go back.
KEEP_MODEL_HOURS = 24

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage with its identity, as it is stored."""

    row: dict[str, Any]
    content_hash: str
    embedded_text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A text that is to be stored, with its chunks."""

    id: UUID
    row: dict[str, Any]
    chunks: list[Chunk]


def build_document(
    source_id: UUID,
    path: str,
    text: str,
    *,
    content_hash: bytes,
    markdown: bool,
    tokens: "TokenCounter",
    title: str | None = None,
    version: str = "",
    url: str | None = None,
    media_type: str = "text/markdown",
    metadata: dict[str, Any] | None = None,
    state: dict[str, Any] | None = None,
) -> Document:
    """Cut a text into chunks that the model of `tokens` reads to their end.

    `content_hash` is the SHA-256 of the bytes that the text was read from; `title` what it is
    called elsewhere than in the text.
    """
    document_id = uuid5(source_id, path)
    passages = split(
        text, max_characters=MAX_CHARACTERS, tokens=tokens, markdown=markdown, title=title
    )
    row = {
        "id": str(document_id),
        "path": path,
        "title": title or title_of(text, path, markdown=markdown),
        "content_hash": content_hash.hex(),
        "recipe": RECIPE,
        "text": text,
        "version": version,
        "url": url,
        "media_type": media_type,
        "metadata": metadata or {},
        "state": state or {},
    }
    return Document(document_id, row, list(_chunks(document_id, passages)))


def texts_of(documents: Iterable[Document]) -> dict[str, str]:
    """Return what is embedded of documents, by its hash."""
    return {chunk.content_hash: chunk.embedded_text for doc in documents for chunk in doc.chunks}


def find_embedded(queries: Queries, model: str, content_hashes: Iterable[str]) -> set[str]:
    """Return the hashes of the texts that have a vector already."""
    rows = queries.list_embedded(model=model, content_hashes=json.dumps(list(content_hashes)))
    return {row["content_hash"] for row in rows}


def store_documents(
    queries: Queries,
    source_id: UUID,
    model: str,
    documents: Sequence[Document],
    vectors: dict[str, bytes],
    *,
    dimensions: int,
) -> set[str]:
    """Store documents, unless vectors are missing; return the hashes of the missing ones.

    `vectors` are those of the texts that have none yet, by their hashes.
    Nobody else must store documents of this source meanwhile: lock it before.

    Raises:
        ModelReplaced: the knowledge base has another model by now.
    """
    queries.share_embeddings()
    if vectors:
        register_model(queries, model, dimensions)
    else:
        require_current_model(queries, model)
    unknown = texts_of(documents).keys() - vectors.keys()
    if lost := unknown - find_embedded(queries, model, unknown):
        return lost
    chunks = [chunk.row for document in documents for chunk in document.chunks]
    queries.upsert_documents(
        source_id=source_id, documents=_json([document.row for document in documents])
    )
    queries.delete_other_chunks(
        document_ids=_array(document.id for document in documents),
        chunk_ids=_array(chunk["id"] for chunk in chunks),
    )
    for rows in parts(chunks):
        queries.upsert_chunks(chunks=_json(rows))
    # In one order everywhere, so that two runs can't wait for each other.
    for new in parts(sorted(vectors.items())):
        queries.insert_embeddings(model=model, embeddings=vector_rows(new))
    return set()


def prune_embeddings(queries: Queries) -> None:
    """Remove the vectors of texts that are nowhere any more, and of models that were replaced.

    A transaction of its own: it waits for all who store, and they may wait for a source's lock.
    """
    queries.own_embeddings()
    queries.delete_unused_embeddings(keep_hours=KEEP_MODEL_HOURS)
    queries.forget_switch(keep_hours=KEEP_MODEL_HOURS)


def parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut a sequence into batches."""
    return (items[start : start + BATCH_SIZE] for start in range(0, len(items), BATCH_SIZE))


def to_bytes(vector: "Vector") -> bytes:
    """Return a vector as it is stored: float32, little-endian."""
    return vector.astype("<f4").tobytes()


def vector_rows(vectors: Iterable[tuple[str, bytes]]) -> str:
    """Return vectors, each with the hash of its text, as statements take them."""
    return _json(
        [
            {"content_hash": content_hash, "vector": base64.b64encode(vector).decode()}
            for content_hash, vector in vectors
        ]
    )


def _chunks(document_id: UUID, passages: Iterable[Passage]) -> Iterator[Chunk]:
    seen: Counter[str] = Counter()
    for ordinal, passage in enumerate(passages):
        content_hash = chunk_hash(passage.heading_path, passage.text)
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
        yield Chunk(row, content_hash, embedded_text(passage.heading_path, passage.text))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _array(ids: Iterable[object]) -> str:
    """Return ids as a literal of a PostgreSQL array."""
    return f"{{{','.join(map(str, ids))}}}"
