"""docs-rag's pipeline: LangChain's splitter and Chroma, a job per document.

Run by `python -m benchmarks peers` with the packages of `requirements.txt`:

    python docs_rag.py FOLDER MODEL_NAME MODEL_FOLDER CHROMA_FOLDER CHUNK_CHARACTERS

A job splits a document, embeds its chunks in one call of the model and upserts them in one call of
the collection. How the jobs are queued is left out, which is to its advantage. Prints JSON.
"""

import json
import sys
import time
from pathlib import Path

# The packages are not installed where types are checked.
from fastembed import TextEmbedding
from langchain_chroma import Chroma  # type: ignore[import-not-found]
from langchain_core.documents import Document  # type: ignore[import-not-found]
from langchain_text_splitters import (  # type: ignore[import-not-found]
    RecursiveCharacterTextSplitter,
)


class Embeddings:
    """LangChain's interface to the same model as bRAG's, with all processors and its batches."""

    def __init__(self, name: str, folder: str) -> None:
        self._model = TextEmbedding(name, specific_model_path=folder, cache_dir=folder)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed chunks."""
        return [vector.tolist() for vector in self._model.passage_embed(texts)]

    def embed_query(self, text: str) -> list[float]:
        """Embed a query."""
        return self.embed_documents([text])[0]


def main(folder: str, model_name: str, model_folder: str, chroma_folder: str, size: str) -> None:
    """Ingest a folder; the clock starts when the model is loaded and has been used once."""
    embeddings = Embeddings(model_name, model_folder)
    embeddings.embed_query("warm up")
    store = Chroma("docs", embedding_function=embeddings, persist_directory=chroma_folder)
    # docs-rag's own settings are 3,000 characters and no overlap.
    splitter = RecursiveCharacterTextSplitter(chunk_size=int(size), chunk_overlap=0)
    root = Path(folder)
    chunks = 0
    paths = sorted(path for path in root.rglob("*") if path.suffix in (".md", ".mdx"))
    started = time.perf_counter()
    for path in paths:
        source = str(path.relative_to(root))
        document = Document(path.read_text(encoding="utf-8"), metadata={"source": source})
        parts = splitter.split_documents([document])
        if parts:
            store.add_documents(parts, ids=[f"{source}:{part}" for part in range(len(parts))])
        chunks += len(parts)
    seconds = time.perf_counter() - started
    print(json.dumps({"documents": len(paths), "chunks": chunks, "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
