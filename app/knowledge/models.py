"""What several parts of the knowledge base must agree on."""

import hashlib
from collections.abc import Sequence

__all__ = ["chunk_hash", "embedded_text"]


def embedded_text(heading_path: Sequence[str], text: str) -> str:
    """Return what a chunk's vectors, dense and sparse, are made of: its headings and its text."""
    return f"{' > '.join(heading_path)}\n\n{text}" if heading_path else text


def chunk_hash(heading_path: Sequence[str], text: str) -> str:
    """Return the SHA-256, in hex, by which a chunk is told from others and its vectors are kept."""
    return hashlib.sha256(embedded_text(heading_path, text).encode()).hexdigest()
