"""The vector index: a replica of this process's own, or a collection on a Qdrant server."""

import hashlib
from typing import TYPE_CHECKING

from app.core.database import Database
from app.knowledge.edge_index import EdgeIndex
from app.knowledge.model_files import DEFAULT_MODEL
from app.knowledge.vector_index import IndexSpec, VectorIndex
from settings import Settings

if TYPE_CHECKING:
    from app.knowledge.server_index import ServerIndex

__all__ = ["open_index", "open_server_index"]

QDRANT_TIMEOUT_SEC = 10


async def open_index(settings: Settings, spec: IndexSpec, database: Database) -> VectorIndex:
    """Open the index that the settings name.

    Raises:
        StartupError: it can't be used.
    """
    if settings.qdrant_server_url is None:
        return await EdgeIndex.open(settings.qdrant_dir, spec, database_url=database.url)
    return await open_server_index(settings, settings.qdrant_server_url, spec)


async def open_server_index(settings: Settings, url: str, spec: IndexSpec) -> "ServerIndex":
    """Open the collection on the Qdrant server at `url`.

    Raises:
        StartupError: the server answers, but the collection is not ours.
    """
    # Only who uses a server pays for loading its client.
    from qdrant_client import AsyncQdrantClient  # noqa: PLC0415

    from app.knowledge.server_index import ServerIndex  # noqa: PLC0415

    key = settings.qdrant_api_key
    client = AsyncQdrantClient(
        url=url,
        api_key=key.get_secret_value() if key else None,
        timeout=QDRANT_TIMEOUT_SEC,
        # It would warn, over HTTP, on standard error, when the server is not up yet.
        check_compatibility=False,
    )
    try:
        return await ServerIndex.open(client, _collection(settings, spec.model), spec)
    except BaseException:
        await client.close()
        raise


def _collection(settings: Settings, model: str) -> str:
    """Name the collection of a model: two of them stand side by side while one is replaced."""
    name = settings.qdrant_collection_name
    if model == DEFAULT_MODEL:
        return name
    return f"{name}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"
