"""Documents: ingestion, chunks, embeddings, the vector index and retrieval."""
