"""What an embedding model wants to read before a query or a passage.

Some models were trained with such words, and find less without them; fastembed adds none. They
are those of each model's card on the Hugging Face hub, to the letter: a space counts.
"""

from fnmatch import fnmatchcase
from typing import NamedTuple

__all__ = ["Prefixes", "prefixes_of"]


class Prefixes(NamedTuple):
    """The words before every query and before every passage; empty for most models."""

    query: str = ""
    passage: str = ""


_SENTENCE = Prefixes(query="Represent this sentence for searching relevant passages: ")
_WEB_SEARCH = "Given a web search query, retrieve relevant passages that answer the query"

# Patterns of fastembed's names in lower case.
_FAMILIES = {
    "baai/bge-*-en*": _SENTENCE,
    "baai/bge-*-zh*": Prefixes(query="为这个句子生成表示以用于检索相关文章："),  # noqa: RUF001 - the card's own colon
    "google/embeddinggemma-*": Prefixes(
        query="task: search result | query: ", passage="title: none | text: "
    ),
    "intfloat/*e5-*": Prefixes(query="query: ", passage="passage: "),
    "jinaai/jina-embeddings-v3": Prefixes(
        query="Represent the query for retrieving evidence documents: ",
        passage="Represent the document for retrieval: ",
    ),
    "mixedbread-ai/mxbai-embed-*": _SENTENCE,
    "nomic-ai/nomic-embed-text-*": Prefixes(query="search_query: ", passage="search_document: "),
    "qdrant/stella-*": Prefixes(query=f"Instruct: {_WEB_SEARCH}.\nQuery: "),
    "qwen/qwen3-embedding-*": Prefixes(query=f"Instruct: {_WEB_SEARCH}\nQuery:"),
    "snowflake/snowflake-arctic-embed-*": _SENTENCE,
}


def prefixes_of(model_name: str) -> Prefixes:
    """Return the prefixes of one of fastembed's models, whose names do not depend on case."""
    for pattern, prefixes in _FAMILIES.items():
        if fnmatchcase(model_name.lower(), pattern):
            return prefixes
    return Prefixes()
