"""What the tests of the vector index share: chunks in SQL, points, and how to compare the two."""

import asyncio
import hashlib
import random
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, cast
from uuid import UUID

import numpy as np
import psycopg2
import psycopg2.extensions
import psycopg2.extras
from qdrant_edge import ScrollRequest

from app.accounts.models import LOCAL_ACCOUNT, Visibility
from app.knowledge.edge_index import EdgeIndex
from app.knowledge.index_payload import payload_of
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import IndexPoint, IndexSpec

__all__ = [
    "DIMENSIONS",
    "ENCODER",
    "MODEL",
    "SPEC",
    "KnowledgeBase",
    "id_of",
    "ids_in",
    "point",
    "until",
    "vector",
]

MODEL = "test-model"
DIMENSIONS = 8
SPEC = IndexSpec("test-database/1", MODEL, DIMENSIONS)
ENCODER = SparseEncoder()

psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call] # its stubs lack it


def vector(seed: object) -> list[float]:
    """A random direction, the same one for the same seed."""
    generator = np.random.default_rng(random.Random(str(seed)).getrandbits(64))
    values = generator.standard_normal(DIMENSIONS).astype("<f4")
    return cast("list[float]", (values / np.linalg.norm(values)).tolist())


def point(
    text: str,
    dense: list[float] | None = None,
    *,
    source: str = "source",
    account: str = "account",
    visibility: Visibility = Visibility.PRIVATE,
    path: str = "a.md",
    updated_at: datetime = datetime(2026, 1, 1, tzinfo=UTC),
) -> IndexPoint:
    """A point for a text, always the same one; a source's path is a document."""
    return IndexPoint(
        chunk_id=id_of(text),
        payload=payload_of(
            source_id=id_of(source),
            document_id=id_of(f"{source}/{path}"),
            account_id=id_of(account),
            visibility=visibility,
            path=path,
            updated_at=updated_at,
            content_hash=hashlib.sha256(text.encode()).digest(),
        ),
        dense=dense or vector(text),
        sparse=ENCODER.encode_document(text),
    )


def id_of(name: str) -> UUID:
    """The id of a chunk, a source, a document or an account in `point`."""
    return uuid.uuid5(uuid.NAMESPACE_URL, name)


def ids_in(index: EdgeIndex) -> set[UUID]:
    """Every chunk that an embedded index holds."""
    assert index._current is not None
    records, _ = index._current._shard.scroll(ScrollRequest(limit=1_000_000))
    return {cast("UUID", record.id) for record in records}


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that nobody announces."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


class KnowledgeBase:
    """Chunks with embeddings, written by plain SQL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.connection = self.connect()
        self.connection.autocommit = True
        self._document = uuid.uuid4()
        source = uuid.uuid4()
        with self.connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO source (id, kind, location, account_id) VALUES (%s, 'folder', %s, %s)",
                (source, str(source), LOCAL_ACCOUNT),
            )
            cursor.execute(
                "INSERT INTO document (id, source_id, path, title, content_hash, recipe, text)"
                " VALUES (%s, %s, 'a.md', 'A', %s, '1', '')",
                (self._document, source, bytes(32)),
            )

    def connect(self) -> psycopg2.extensions.connection:
        """Another connection, for transactions side by side."""
        return psycopg2.connect(self._url)

    def add(
        self,
        texts: Iterable[str],
        connection: psycopg2.extensions.connection | None = None,
    ) -> list[UUID]:
        """Store chunks in one statement; the same text is the same chunk."""
        ids, chunks, embeddings = [], [], []
        for number, text in enumerate(texts):
            chunk_id = uuid.uuid5(self._document, text)
            content_hash = hashlib.sha256(text.encode()).digest()
            ids.append(chunk_id)
            chunks.append((chunk_id, self._document, number, 0, 1, ["Guide"], content_hash, text))
            stored = np.array(vector(text), dtype="<f4").tobytes()
            embeddings.append((content_hash, MODEL, stored))
        with (connection or self.connection).cursor() as cursor:
            psycopg2.extras.execute_values(
                cursor,
                "INSERT INTO embedding (content_hash, model, vector) VALUES %s"
                " ON CONFLICT DO NOTHING",
                embeddings,
                page_size=10_000,
            )
            psycopg2.extras.execute_values(
                cursor,
                "INSERT INTO chunk (id, document_id, ordinal, start_offset, end_offset,"
                " heading_path, content_hash, text) VALUES %s",
                chunks,
                page_size=10_000,
            )
        return ids

    def remove(self, ids: Iterable[UUID]) -> None:
        """Delete chunks."""
        self.execute("DELETE FROM chunk WHERE id = ANY(%s)", (list(ids),))

    def ids(self) -> set[UUID]:
        """Every chunk that is stored."""
        return {row[0] for row in self.execute("SELECT id FROM chunk")}

    def execute(self, statement: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows, if it has any."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def transaction(self) -> Iterator[psycopg2.extensions.connection]:
        """A transaction of its own that has its id already; it ends without a commit."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id()")
            yield connection
        finally:
            connection.close()

    def __enter__(self) -> Self:
        """Use it until the block ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.connection.close()
