"""Examples for what fields hold that have none themselves, by their names: the same everywhere."""

from typing import Final

__all__ = ["EXAMPLES", "FORMATS", "UNKNOWN"]

# A field for which this is all that can be said wants an example of its own.
UNKNOWN: Final = "…"

# Of what is written in a format of its own.
FORMATS: Final = {
    "uuid": "0b9f2f38-6a57-4c08-9d5e-0f0f5c6f1c57",
    "date": "2026-11-29",
    "date-time": "2026-11-29T10:00:00Z",
    "uri": "https://docs.example/guide",
}
_HASH: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_QUESTION: Final = "How do I ingest a folder?"
_TEXT: Final = "Run `python -m app ingest docs` to ingest a folder."
EXAMPLES: Final = {
    "branch": "main",
    "content_hash": _HASH,
    "csrf_token": "p7Q0b9rYx2m4c8sVd1n6wTtJ3eLk5fGu",
    "detail": "There is no such model.",
    "document_content": _TEXT,
    "embedding_model": "sentence-transformers/all-MiniLM-L6-v2",
    "error": "The site answered with 404 Not Found.",
    "hint": "brag_Zk3x",
    "heading_path": "Ingesting a folder",
    "html": "<p>Run <code>python -m app ingest docs</code> to ingest a folder.</p>",
    "message": _QUESTION,
    "model": "offline-extractive",
    "name": "Documentation",
    "path": "guide/ingest.md",
    "prompt_hash": _HASH,
    "query": _QUESTION,
    "question": _QUESTION,
    "repository": "owner/name",
    "requested_model": "offline-extractive",
    "selected_text": _TEXT,
    "selected_text_hash": _HASH,
    "session_id": "browser-7",
    "text": _TEXT,
    "title": "Ingesting a folder",
    "token": "brags_q8Zk1rWqYh0m5c3sVb7n2xTtJ4eLd9fG",
    "token_name": "work",
    "url": "https://docs.example/guide",
    "version": "0.1.0",
}
