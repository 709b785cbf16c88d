"""Knowledge bases to measure on: made-up words, always the same."""

import base64
import hashlib
import json
import random
from pathlib import Path
from uuid import uuid5

import numpy as np

from app.core.database import Database, Queries
from app.knowledge.index_model import register_model

__all__ = ["fill", "write_folder"]

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


def write_folder(folder: Path, *, files: int) -> None:
    """Write Markdown files of very different lengths."""
    random_ = random.Random(1)
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
    """Store that many chunks with random vectors."""
    await database.run(_fill, chunks, model, dimensions)


def _fill(queries: Queries, chunks: int, model: str, dimensions: int) -> None:
    random_ = random.Random(2)
    vectors = np.random.default_rng(3).standard_normal((chunks, dimensions)).astype("<f4")
    register_model(queries, model, dimensions)
    source_id = queries.upsert_source(kind="folder", location="/benchmark")
    document_id = uuid5(source_id, "a.md")
    document = {
        "id": str(document_id),
        "path": "a.md",
        "title": "A",
        "content_hash": "00" * 32,
        "recipe": "benchmark",
        "text": "benchmark",
    }
    queries.upsert_documents(source_id=source_id, documents=json.dumps([document]))
    rows, embeddings = [], []
    for number in range(chunks):
        text = " ".join(sentence(random_) for _ in range(6))
        content_hash = hashlib.sha256(f"{number} {text}".encode()).hexdigest()
        vector = vectors[number] / np.linalg.norm(vectors[number])
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
            {"content_hash": content_hash, "vector": base64.b64encode(vector.tobytes()).decode()}
        )
    queries.upsert_chunks(chunks=json.dumps(rows))
    queries.insert_embeddings(model=model, embeddings=json.dumps(embeddings))
