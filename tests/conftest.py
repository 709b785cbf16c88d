"""Real parts for every test: PostgreSQL, the embedding model, HTTP servers on loopback."""

import asyncio
import fcntl
import gc
import logging
import os
import shutil
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx2
import pytest
import uvloop
from anyio import to_thread

from app.core.database import Database
from app.core.embedded_postgres import EmbeddedPostgres
from app.core.logs import QUIET
from app.core.migrations import migrate
from app.knowledge.embedding import Embedder
from app.knowledge.model_files import prepare_model
from settings import Settings, load_settings
from tests.runs import open_runs
from tests.serving import serve
from tests.support import execute, fetch, open_client
from tests.upstream import MODEL, Upstream

TEMPLATE = "brag_template"
# Where `make test` prepared the model, whatever the tests set afterwards.
MODELS_DIR = load_settings().models_dir
MEMORY = Path("/dev/shm")
ROOM_BYTES = 8 * 1024**3

Ingest = Callable[..., Awaitable[dict[str, object]]]


def pytest_configure() -> None:
    """Let processes be interrupted, and keep what tests write in memory, where there is room."""
    # A shell that has started the tests in the background ignores it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Every test opens a database and an index of its own, and waits for the disk a lot.
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run tests in the event loop that bRAG is served in: its clock ticks differently."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own environment must not change what a test sees."""
    own = {"BRAG_URL", "BRAG_TOKEN", *map(str.upper, Settings.model_fields)}
    for name in list(os.environ):
        if name in own or name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """Serving configures the logs of the whole process."""
    names = ("", "uvicorn", "uvicorn.error", "uvicorn.access", *QUIET)
    before = {
        name: (logger.level, logger.handlers[:], logger.propagate, logger.disabled)
        for name in names
        if (logger := logging.getLogger(name))
    }
    yield
    for name, (level, handlers, propagate, disabled) in before.items():
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers[:], logger.propagate, logger.disabled = handlers, propagate, disabled


@pytest.fixture(autouse=True)
def _garbage_is_collected() -> Iterator[None]:
    """Serving freezes what is loaded; after many servers in one process it would be gigabytes."""
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One PostgreSQL for the whole run, shared by its parallel workers."""
    base = tmp_path_factory.getbasetemp()
    # Each xdist worker has a folder of its own in the run's.
    shared = base.parent if base.name.startswith("popen-") else base
    with EmbeddedPostgres.start(shared / "postgres") as server:
        with (shared / "template.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (TEMPLATE,) not in fetch(server.url("postgres"), "SELECT datname FROM pg_database"):
                migrate(server.url("brag_migrating"))
                execute(
                    server.url("postgres"), f"ALTER DATABASE brag_migrating RENAME TO {TEMPLATE}"
                )
        yield server


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """An empty, migrated database of the test's own."""
    name = f"test_{uuid.uuid4().hex}"
    execute(postgres.url("postgres"), f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield postgres.url(name)
    execute(postgres.url("postgres"), f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The same, opened."""
    database = Database(database_url, pool_size=4)
    yield database
    database.close()


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    """The default embedding model, prepared as an installation prepares it."""
    name = Settings.model_fields["embedding_model"].default
    return Embedder.load(name, prepare_model(name, MODELS_DIR))


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Nothing configured but a database and folders of the test's own."""
    var_dir = tmp_path / "var"
    var_dir.mkdir()
    (var_dir / "models").symlink_to(MODELS_DIR)
    return Settings(database_url=database_url, var_dir=var_dir)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A language model's server that does what the test tells it."""
    upstream = Upstream()
    async with serve(upstream.app) as url:
        upstream.url = f"{url}/v1"
        yield upstream


@pytest.fixture
def upstream_settings(settings: Settings, upstream: Upstream) -> Settings:
    """Settings that use that server."""
    return settings.model_copy(
        update={"openai_base_url": upstream.url, "openai_models": [MODEL, "other-model"]}
    )


@pytest.fixture
async def api(settings: Settings, embedder: Embedder) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of bRAG with nothing configured: the offline model answers."""
    async with open_client(settings) as client:
        yield client


@pytest.fixture
async def upstream_api(
    upstream_settings: Settings, embedder: Embedder
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of bRAG that talks to the test's own language model."""
    async with open_client(upstream_settings) as client:
        yield client


@pytest.fixture
def ingest(
    database: Database, embedder: Embedder, settings: Settings, tmp_path: Path
) -> Iterator[Ingest]:
    """Write files into a folder and ingest it; None removes a file."""
    with open_runs(database, embedder, settings, tmp_path / "documents") as runs:

        async def ingest(files: dict[str, str | bytes | None] | None = None) -> dict[str, object]:
            run = await to_thread.run_sync(runs.run, files)
            await to_thread.run_sync(runs.steps.prune)
            return run

        yield ingest


@pytest.fixture
def unused_url() -> str:
    """A URL at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
