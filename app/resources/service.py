"""Everything that a running service holds open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx2
from anyio import to_thread
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from app.chat.offline import create_offline_model
from app.chat.services import ChatService
from app.core.asgi_transport import StreamingASGITransport
from app.core.database import Database
from app.core.exceptions import AppError
from app.core.llm import LLM
from app.core.models import PartStatus
from app.knowledge.edge_index import EdgeIndex
from app.knowledge.embedding import Embedder
from app.knowledge.follower import Follower
from app.knowledge.index_model import require_model_of_index
from app.knowledge.index_source import read_spec
from app.knowledge.retrieval import Retriever
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import IndexSpec, VectorIndex
from app.resources.database import open_database
from app.resources.embedder import load_embedder
from settings import Settings

__all__ = ["Resources", "open_resources"]

QDRANT_TIMEOUT_SEC = 10
UPSTREAM_CONNECT_SEC = 10
# What the language model's server asks to wait longer for is left to the caller.
RETRY_WITHIN_SEC = 3
# The pool looks at every idle connection for every call, so a hundred of them cost milliseconds.
UPSTREAM_LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=20)


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that a running bRAG holds open."""

    settings: Settings
    database: Database
    index: VectorIndex
    follower: Follower
    embedder: Embedder
    retriever: Retriever
    chat: ChatService

    async def check(self) -> dict[str, PartStatus]:
        """Tell of each part whether it works; the language model is not called."""
        return {
            "database": await self._check_database(),
            "index": self._check_index(),
            "embedding_model": PartStatus(status="ok", detail=self.embedder.model_name),
            "language_model": PartStatus(status="ok", detail=self.settings.models[0]),
        }

    async def _check_database(self) -> PartStatus:
        try:
            await self.database.run(lambda queries: queries.ping())
        except AppError as error:
            return PartStatus(status="down", detail=error.message)
        return PartStatus(status="ok")

    def _check_index(self) -> PartStatus:
        status = self.follower.status
        if status.position is None:
            return PartStatus(status="down", detail="The index is being built.")
        if status.error is not None:
            return PartStatus(status="down", detail=status.error)
        return PartStatus(status="ok")


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open every part, in order; close what was opened, whatever happens.

    Raises:
        StartupError: a part can't be opened; says what to do.
    """
    async with AsyncExitStack() as stack:
        # Both take most of a second; neither needs the other.
        loading = asyncio.create_task(to_thread.run_sync(load_embedder, settings))
        stack.push_async_callback(_end, loading)
        database = await stack.enter_async_context(open_database(settings))
        await database.run(require_model_of_index, settings.embedding_model)
        embedder = await loading
        spec = await database.run(read_spec, embedder.model_name, embedder.dimensions)
        index = await _open_index(settings, spec, database)
        stack.push_async_callback(index.aclose)
        encoder = SparseEncoder()
        follower = Follower(database, index, encoder)
        stack.push_async_callback(follower.aclose)
        await follower.start()
        client = await stack.enter_async_context(_openai_client(settings, embedder))
        retriever = Retriever(database, index, embedder, encoder)
        chat = ChatService(
            database,
            retriever,
            LLM(client, timeout_sec=settings.generation_timeout_sec),
            models=settings.models,
            top_k=settings.retrieval_top_k,
            max_message_characters=settings.max_message_characters,
        )
        stack.push_async_callback(chat.aclose)
        yield Resources(settings, database, index, follower, embedder, retriever, chat)


async def _end(task: asyncio.Task[Embedder]) -> None:
    """Wait for a task whose result nobody may want any more."""
    await asyncio.gather(task, return_exceptions=True)


async def _open_index(settings: Settings, spec: IndexSpec, database: Database) -> VectorIndex:
    if (url := settings.qdrant_server_url) is None:
        return await EdgeIndex.open(settings.qdrant_dir, spec, database_url=database.url)
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
    return await ServerIndex.open(client, settings.qdrant_collection_name, spec)


@asynccontextmanager
async def _openai_client(settings: Settings, embedder: Embedder) -> AsyncIterator[AsyncOpenAI]:
    key = settings.openai_api_key
    timeout = httpx2.Timeout(settings.generation_timeout_sec, connect=UPSTREAM_CONNECT_SEC)
    if settings.has_language_model:
        client = AsyncOpenAI(
            # Servers of one's own often want no key; the client insists on one.
            api_key=key.get_secret_value() if key else "none",
            base_url=settings.openai_base_url,
            http_client=DefaultAsyncHttpxClient(
                timeout=timeout,
                limits=UPSTREAM_LIMITS,
                event_hooks={"response": [_retry_only_soon]},
            ),
        )
    else:
        transport = StreamingASGITransport(create_offline_model(embedder.similarities))
        client = AsyncOpenAI(
            api_key="none",
            base_url="http://offline/v1",
            timeout=timeout,
            # What failed in this process fails again.
            max_retries=0,
            http_client=httpx2.AsyncClient(transport=transport),
        )
    async with client:
        yield client


async def _retry_only_soon(response: httpx2.Response) -> None:
    """Keep the client from waiting for minutes, silently, because of a `Retry-After`."""
    retry_after = response.headers.get("retry-after")
    if retry_after and not (retry_after.isdecimal() and int(retry_after) <= RETRY_WITHIN_SEC):
        # openai's own header for it
        response.headers["x-should-retry"] = "false"
