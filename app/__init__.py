"""bRAG: a retrieval-augmented generation backend without a framework."""

__version__ = "0.1.0"
