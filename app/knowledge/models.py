"""What several parts of the knowledge base must agree on."""

import hashlib
from collections.abc import Sequence
from typing import Final

__all__ = ["chunk_hash", "chunk_hashes", "embedded_text"]

# How a chunk becomes vectors. Change it whenever windows or prefixes are made differently, and the
# recipe in `document_store.py` with it: vectors are kept by hash, so that others would stay.
EMBEDDING_RECIPE: Final = "windows of 280"


def embedded_text(heading_path: Sequence[str], text: str) -> str:
    """Return what a chunk's vectors, dense and sparse, are made of: its headings and its text."""
    return f"{' > '.join(heading_path)}\n\n{text}" if heading_path else text


def chunk_hash(heading_path: Sequence[str], text: str) -> str:
    """Return the SHA-256, in hex, by which a chunk is told from others and its vectors are kept."""
    return _sha256(f"{EMBEDDING_RECIPE}\0{embedded_text(heading_path, text)}")


def chunk_hashes(heading_path: Sequence[str], text: str) -> tuple[str, ...]:
    """Return the hashes that a stored chunk may have: before there were windows, it was another."""
    return chunk_hash(heading_path, text), _sha256(embedded_text(heading_path, text))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
