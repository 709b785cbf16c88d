"""BM25: texts into term weights; Qdrant adds the inverse document frequency when it searches."""

from qdrant_edge import Bm25, Bm25Config

from app.knowledge.vector_index import SparseVector

__all__ = ["SparseEncoder"]


class SparseEncoder:
    """BM25 for English, 50 µs a chunk. Texts need no model for it, and no network."""

    def __init__(self) -> None:
        # Spelled out, so that another version's defaults don't mix with vectors already stored:
        # whoever changes them raises FORMAT in vector_index.py. Passages have about 60 terms, not
        # 256: that only lets repeated terms saturate sooner, as a k of 0.6 would, and fused with
        # cosines it is as good as any of eleven settings measured.
        self._bm25 = Bm25(Bm25Config(k=1.2, b=0.75, avg_len=256.0, language="english"))

    def encode_document(self, text: str) -> SparseVector:
        """Weigh the terms of a chunk by their frequency and the chunk's length."""
        vector = self._bm25.embed_document(text)
        return SparseVector(vector.indices, vector.values)

    def encode_query(self, text: str) -> SparseVector:
        """Return the terms of a query; none for a query of stop words."""
        vector = self._bm25.embed_query(text)
        return SparseVector(vector.indices, vector.values)
