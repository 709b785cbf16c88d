"""What several parts of the knowledge base must agree on."""

from collections.abc import Sequence

__all__ = ["embedded_text"]


def embedded_text(heading_path: Sequence[str], text: str) -> str:
    """Return what a chunk's vectors, dense and sparse, are made of: its headings and its text."""
    return f"{' > '.join(heading_path)}\n\n{text}" if heading_path else text
