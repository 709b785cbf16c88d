"""Knowledge bases to measure on: made-up words, always the same."""

import base64
import hashlib
import json
import random
from pathlib import Path
from typing import Any
from uuid import uuid5

import numpy as np

from app.accounts.models import LOCAL_ACCOUNT
from app.core.database import Database, Queries
from app.knowledge.index_model import register_model

__all__ = ["fill", "write_folder"]

# A document of so many chunks is stored at once.
DOCUMENT_CHUNKS = 1_000

WORDS = [
    a + b + c
    for a in ("ka", "mo", "ri", "tel", "sun", "bra", "pol", "gen", "vi", "dor")
    for b in ("ta", "ne", "lo", "shi", "mar", "ku", "ver", "on")
    for c in ("", "s", "ing", "er", "tion", "ly")
]


def sentence(random_: random.Random) -> str:
    """Make up a sentence of 6 to 18 words."""
    words = random_.choices(WORDS, k=random_.randint(6, 18))
    return " ".join(words).capitalize() + "."


def write_folder(folder: Path, *, files: int, seed: int = 1) -> None:
    """Write Markdown files of very different lengths; another seed, other texts."""
    random_ = random.Random(seed)
    for number in range(files):
        parts = [f"# {sentence(random_)}"]
        for _ in range(random_.choice((1, 2, 4, 8, 16))):
            parts.append(f"## {' '.join(random_.choices(WORDS, k=3))}")
            parts += [
                " ".join(sentence(random_) for _ in range(random_.randint(1, 8)))
                for _ in range(random_.randint(1, 3))
            ]
        path = folder / f"part{number % 7}" / f"{number}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n\n".join(parts) + "\n")


async def fill(database: Database, *, chunks: int, model: str, dimensions: int) -> None:
    """Store that many chunks with random vectors; those of a smaller number are among them."""
    for first in range(0, chunks, DOCUMENT_CHUNKS):
        count = min(DOCUMENT_CHUNKS, chunks - first)
        await database.run(_fill, first, count, model, dimensions)


def _fill(queries: Queries, first: int, count: int, model: str, dimensions: int) -> None:
    random_ = random.Random(first + 2)
    shape = (count, dimensions)
    vectors = np.random.default_rng(first + 3).standard_normal(shape).astype("<f4")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    register_model(queries, model, dimensions)
    source_id = queries.upsert_source(
        account_id=LOCAL_ACCOUNT, kind="folder", location="/benchmark"
    )
    path = f"{first}.md"
    document_id = uuid5(source_id, path)
    document: dict[str, Any] = {
        "id": str(document_id),
        "path": path,
        "title": "A",
        "content_hash": "00" * 32,
        "recipe": "benchmark",
        "text": "benchmark",
        "version": "",
        "url": None,
        "media_type": "text/markdown",
        "metadata": {},
        "state": {},
    }
    queries.upsert_documents(source_id=source_id, documents=json.dumps([document]))
    rows, embeddings = [], []
    for number in range(count):
        text = " ".join(sentence(random_) for _ in range(6))
        content_hash = hashlib.sha256(f"{number} {text}".encode()).hexdigest()
        rows.append(
            {
                "id": str(uuid5(document_id, content_hash)),
                "document_id": str(document_id),
                "ordinal": number,
                "start_offset": number,
                "end_offset": number + 1,
                "heading_path": ["A"],
                "content_hash": content_hash,
                "text": text,
            }
        )
        embeddings.append(
            {
                "content_hash": content_hash,
                "vector": base64.b64encode(vectors[number].tobytes()).decode(),
            }
        )
    queries.upsert_chunks(chunks=json.dumps(rows))
    queries.insert_embeddings(model=model, embeddings=json.dumps(embeddings))
