"""Everything that a running service holds open."""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx2
from anyio import to_thread
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from app.accounts.mail import Mailer
from app.accounts.models import LOCAL_ACCOUNT
from app.accounts.token_watch import TokenWatch
from app.chat.budget import TokenBudget
from app.chat.followups import REWRITING_SEC, FollowUps
from app.chat.grounding import Grounder
from app.chat.histories import Histories
from app.chat.live import LiveAnswers
from app.chat.offline import create_offline_model
from app.chat.preparing import Preparer
from app.chat.resuming import Resuming
from app.chat.services import ChatService
from app.chat.summaries import SUMMARY_SEC, Summaries
from app.compat.openai.answering import Answering
from app.compat.openai.catalogue import Catalogue
from app.compat.openai.embedding import Embeddings
from app.compat.openai.passthrough import Passthrough
from app.compat.openai.relay import Relay, Upstream
from app.compat.openai.services import OpenAIServices
from app.core.asgi_transport import StreamingASGITransport
from app.core.database import Database, Queries
from app.core.exceptions import AppError
from app.core.llm import LLM, Purpose
from app.core.models import PartStatus
from app.core.prices import Prices
from app.core.processes import Process
from app.core.queue import QueueStatus, read_queue
from app.knowledge.embedding import Embedder
from app.knowledge.follower import Follower
from app.knowledge.index_model import require_model_of_index
from app.knowledge.index_source import MAX_LAG, Lag, read_lag, read_spec
from app.knowledge.ingestions.following import RunWatch
from app.knowledge.live_model import IndexedModel, LiveModel
from app.knowledge.retrieval import Retriever
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import VectorIndex
from app.resources.database import open_database
from app.resources.embedder import load_embedder
from app.resources.index import open_index
from app.resources.reranker import load_reranker
from settings import Settings

__all__ = ["Resources", "open_resources"]

# Whoever waits longer than this for what another request holds keeps a connection from the others.
LOCK_TIMEOUT_SEC = 10
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
    process: Process
    live_model: LiveModel
    retriever: Retriever
    chat: ChatService
    openai: OpenAIServices
    resuming: Resuming
    mailer: Mailer
    token_watch: TokenWatch
    run_watch: RunWatch

    @property
    def embedder(self) -> Embedder:
        """The model that questions are answered with at the moment."""
        return self.live_model.current.embedder

    @property
    def index(self) -> VectorIndex:
        """The index that is searched at the moment."""
        return self.live_model.current.index

    @property
    def follower(self) -> Follower:
        """What keeps the index up to date that is searched at the moment."""
        return self.live_model.current.follower

    @property
    def is_embedded(self) -> bool:
        """Whether nobody else works on this database, so that this process has to."""
        return self.settings.database_url is None

    async def check(self) -> dict[str, PartStatus]:
        """Tell of each part whether it works; the language model is not called."""
        return {
            "database": await self._check_database(),
            "index": await self.check_index(),
            "embedding_model": self._check_model(),
            "language_model": PartStatus(status="ok", detail=self.settings.models[0]),
            "worker": await self._check_worker(),
        }

    async def check_index(self) -> PartStatus:
        """Tell whether the index works, and how far it is behind."""
        follower = self.follower.status
        error = follower.error or (None if follower.position else "The index is being built.")
        if follower.applied is None:
            return PartStatus(status="down", detail=error)
        try:
            lag = await self.database.run_statement(read_lag, follower.applied)
        except AppError:
            # Which the database's own part tells.
            return PartStatus(status="down" if error else "ok", detail=error)
        return PartStatus(
            status="down" if error else "ok",
            detail=error or _describe(lag),
            lag_changes=lag.changes,
            lag_seconds=lag.seconds,
        )

    async def queue(self) -> QueueStatus | None:
        """Return the state of the job queue; None when the database can't be asked."""
        try:
            return await self.database.run(read_queue)
        except AppError:
            return None

    async def _check_worker(self) -> PartStatus:
        queue = await self.queue()
        if queue is None:
            return PartStatus(status="unknown")
        # Questions are answered without one.
        return PartStatus(status="ok" if queue.workers else "absent", detail=queue.describe())

    async def _check_database(self) -> PartStatus:
        try:
            await self.database.run(lambda queries: queries.ping())
        except AppError as error:
            return PartStatus(status="down", detail=error.message)
        return PartStatus(status="ok")

    def _check_model(self) -> PartStatus:
        name, problem = self.live_model.current.name, self.live_model.problem
        # Questions are answered, so nothing is down.
        detail = f"{name}, until the knowledge base's model can be used: {problem}"
        return PartStatus(status="ok", detail=detail if problem else name)


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
        database = await stack.enter_async_context(
            open_database(settings, lock_timeout_sec=LOCK_TIMEOUT_SEC)
        )
        await database.run(require_model_of_index, settings.embedding_model)
        encoder = SparseEncoder()
        model = await _open_model(settings, database, encoder, await loading)
        retriever = Retriever(
            database,
            model.index,
            model.embedder,
            encoder,
            by_reader=settings.requires_auth or await database.run_statement(_has_other_accounts),
            reranker=await to_thread.run_sync(load_reranker, settings),
            diverse=settings.retrieval_mmr,
        )
        reopen = functools.partial(_load_and_open_model, settings, database, encoder)
        live_model = LiveModel(database, retriever, model, reopen)
        stack.push_async_callback(live_model.aclose)
        live_model.start()
        client, upstream = await stack.enter_async_context(_openai_client(settings, live_model))
        budget = TokenBudget(
            settings.context_tokens,
            lambda texts: live_model.current.embedder.count_tokens(texts),  # noqa: PLW0108 -- the model may be replaced
        )
        grounder = Grounder(
            retriever,
            budget,
            lambda: live_model.current.embedder,
            top_k=settings.retrieval_top_k,
            generation_timeout_sec=settings.generation_timeout_sec,
        )
        process = Process(database.url)
        await process.start()
        stack.push_async_callback(process.aclose)
        live = LiveAnswers(database, process.id, resume_sec=settings.stream_resume_sec)
        stack.push_async_callback(live.aclose)
        live.start()
        resuming = Resuming(database, live)
        prices = Prices(settings.openai_prices)
        rewriting = summing_up = None
        # The offline model makes no sentences of its own.
        if settings.has_language_model:
            rewriting = LLM(
                client, timeout_sec=REWRITING_SEC, prices=prices, purpose=Purpose.REWRITING
            )
            summing_up = LLM(
                client, timeout_sec=SUMMARY_SEC, prices=prices, purpose=Purpose.SUMMARY
            )
        preparer = Preparer(
            database,
            grounder,
            budget,
            FollowUps(rewriting),
            Histories(budget, Summaries(database, budget, summing_up) if summing_up else None),
            live,
            models=settings.models,
            max_message_characters=settings.max_message_characters,
            generation_limit=settings.generation_limit,
        )
        llm = LLM(client, timeout_sec=settings.generation_timeout_sec, prices=prices)
        chat = ChatService(database, preparer, budget, llm, live, resuming)
        stack.push_async_callback(chat.aclose)
        yield Resources(
            settings,
            database,
            process,
            live_model,
            retriever,
            chat,
            OpenAIServices(
                Catalogue(settings.models),
                Answering(settings, chat),
                Passthrough(
                    database,
                    live,
                    Relay(upstream, timeout_sec=settings.generation_timeout_sec),
                    generation_limit=settings.generation_limit,
                    prices=prices,
                ),
                Embeddings(lambda: live_model.current.embedder),
            ),
            resuming,
            Mailer(settings),
            TokenWatch(database),
            RunWatch(database),
        )


async def _load_and_open_model(
    settings: Settings, database: Database, encoder: SparseEncoder, name: str
) -> IndexedModel:
    named = settings.model_copy(update={"embedding_model": name})
    embedder = await to_thread.run_sync(load_embedder, named)
    return await _open_model(settings, database, encoder, embedder)


async def _open_model(
    settings: Settings, database: Database, encoder: SparseEncoder, embedder: Embedder
) -> IndexedModel:
    """Open the index of a model, which is complete then or soon."""
    spec = await database.run(read_spec, embedder.model_name, embedder.dimensions)
    index = await open_index(settings, spec, database)
    model = IndexedModel(embedder, index, Follower(database, index, encoder))
    try:
        await model.follower.start()
    except BaseException:
        await model.aclose()
        raise
    return model


def _has_other_accounts(queries: Queries) -> bool:
    """Whether there may be somebody's private things, from a time when AUTH was required."""
    has: bool = queries.has_other_accounts(local_account_id=LOCAL_ACCOUNT)
    return has


def _describe(lag: Lag) -> str | None:
    if lag.changes == 0:
        return None
    more = "or more " if lag.changes == MAX_LAG else ""
    return f"{lag.changes:,} {more}changes behind, for {lag.seconds:.0f} s"


async def _end(task: asyncio.Task[Embedder]) -> None:
    """Wait for a task whose result nobody may want any more."""
    await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _openai_client(
    settings: Settings, model: LiveModel
) -> AsyncIterator[tuple[AsyncOpenAI, Upstream]]:
    """Yield a client of the language model, and what it takes to call that without one."""
    key = settings.openai_api_key
    timeout = httpx2.Timeout(settings.generation_timeout_sec, connect=UPSTREAM_CONNECT_SEC)
    if settings.has_language_model:
        http: httpx2.AsyncClient = DefaultAsyncHttpxClient(
            timeout=timeout,
            limits=UPSTREAM_LIMITS,
            event_hooks={"response": [_retry_only_soon]},
        )
        client = AsyncOpenAI(
            # Servers of one's own often want no key; the client insists on one.
            api_key=key.get_secret_value() if key else "none",
            base_url=settings.openai_base_url,
            http_client=http,
        )
    else:
        http = httpx2.AsyncClient(
            transport=StreamingASGITransport(create_offline_model(model.similarities)),
            timeout=timeout,
        )
        client = AsyncOpenAI(
            api_key="none",
            base_url="http://offline/v1",
            timeout=timeout,
            # What failed in this process fails again.
            max_retries=0,
            http_client=http,
        )
    # Key, organisation and project, and not what tells of the client.
    headers = {
        name: value
        for name, value in client.default_headers.items()
        if isinstance(value, str) and not name.lower().startswith("x-stainless")
    }
    headers |= client.auth_headers | {"User-Agent": "bRAG", "Accept-Encoding": "identity"}
    async with client:
        yield client, Upstream(http, f"{client.base_url}chat/completions", headers)


async def _retry_only_soon(response: httpx2.Response) -> None:
    """Keep the client from waiting for minutes, silently, because of a `Retry-After`."""
    retry_after = response.headers.get("retry-after")
    if retry_after and not (retry_after.isdecimal() and int(retry_after) <= RETRY_WITHIN_SEC):
        # openai's own header for it
        response.headers["x-should-retry"] = "false"
