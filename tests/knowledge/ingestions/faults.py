"""What tests of faults share: a folder of files, workers to kill, and a look at what is left."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from pydantic import SecretStr

from app.accounts.models import LOCAL
from app.core.database import Database
from app.knowledge.connectors.config import SourceConfig
from app.knowledge.sources import services
from app.knowledge.sources.models import NewSource
from app.resources.doctor import run_doctor
from settings import ROOT, Settings
from tests.support import eventually, execute, fetch, open_client

__all__ = [
    "PATIENCE_SEC",
    "assert_all_is_well",
    "assert_nothing_is_under_way",
    "assert_stored_once",
    "begin",
    "descendants",
    "done",
    "ended",
    "state",
    "watch_writes",
    "workers",
    "write_files",
]

PATIENCE_SEC = 120

Start = Callable[[], "subprocess.Popen[bytes]"]


def write_files(folder: Path, count: int) -> dict[str, str]:
    """Write so many files, all different; return their texts by path."""
    texts = {
        f"{number % 7}/{number}.md": f"# File {number}\n\nIt tells of the number {number}.\n"
        for number in range(count)
    }
    for path, text in texts.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    return texts


async def begin(database: Database, settings: Settings, config: SourceConfig) -> UUID:
    """Create a source, as the API does; return its first run."""
    source = await services.create(database, settings, LOCAL, NewSource(config=config))
    assert source.ingestion is not None
    return source.ingestion.id


@asynccontextmanager
async def workers(settings: Settings, url: str) -> AsyncIterator[Start]:
    """Start workers as processes; none is left in the end."""
    variables = {
        "DATABASE_URL": url,
        "VAR_DIR": str(settings.var_dir),
        "INGEST_ROOTS": ",".join(map(str, settings.ingest_roots)),
        "WORKER_DOCUMENT_CONCURRENCY": "1",
        "LOG_LEVEL": "ERROR",
    }
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = (sys.executable, "-m", "tests.knowledge.ingestions.hurried", "worker")
        started.append(subprocess.Popen(command, cwd=ROOT, env=os.environ | variables))
        return started[-1]

    try:
        yield start
    finally:
        for worker in started:
            worker.kill()
            await asyncio.to_thread(worker.wait)


def done(url: str, ingestion_id: UUID) -> int:
    """Return how many documents of a run are stored."""
    ((stored,),) = fetch(url, f"SELECT stored FROM ingestion WHERE id = '{ingestion_id}'")
    return int(stored)


def state(url: str, ingestion_id: UUID) -> str:
    """Return how far a run is."""
    ((found,),) = fetch(url, f"SELECT state FROM ingestion WHERE id = '{ingestion_id}'")
    return str(found)


async def ended(url: str, ingestion_id: UUID) -> str:
    """Wait for a run's end and for what comes after it; return how it has ended."""

    async def is_over() -> bool:
        return state(url, ingestion_id) not in ("queued", "listing", "running") and not fetch(
            url,
            "SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
            " AND (task_name = 'maintenance:prune' OR task_name LIKE 'ingestion:%')",
        )

    await eventually(is_over, within=PATIENCE_SEC)
    return state(url, ingestion_id)


def watch_writes(url: str) -> None:
    """Have PostgreSQL note each document that is written, for `assert_stored_once`."""
    execute(
        url,
        "CREATE TABLE written (path text);"
        "CREATE FUNCTION note_written() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO written VALUES (NEW.path); RETURN NEW; END';"
        "CREATE TRIGGER note_written AFTER INSERT OR UPDATE ON document"
        " FOR EACH ROW EXECUTE FUNCTION note_written()",
    )


def assert_stored_once(url: str, ingestion_id: UUID, texts: Mapping[str, str]) -> None:
    """Check that a run has stored exactly these texts, none of them twice, and counted them so."""
    counts = fetch(
        url,
        "SELECT state, listed, stored, unchanged, deleted, skipped, failed, passages, embedded"
        f" FROM ingestion WHERE id = '{ingestion_id}'",
    )
    number = len(texts)
    assert counts == [("succeeded", number, number, 0, 0, 0, 0, number, number)]
    assert dict(fetch(url, "SELECT path, text FROM document")) == texts
    assert sorted(path for (path,) in fetch(url, "SELECT path FROM written")) == sorted(texts)
    assert fetch(url, "SELECT count(*) FROM chunk") == [(number,)]
    assert fetch(url, "SELECT count(*) FROM embedding") == [(number,)]


def assert_nothing_is_under_way(url: str) -> None:
    """Check that no run, item or job is left open, and no content kept for one."""
    for rows in (
        "ingestion WHERE finished_at IS NULL OR state IN ('queued', 'listing', 'running')",
        "ingestion_item WHERE finished_at IS NULL OR content IS NOT NULL",
        "procrastinate_jobs WHERE status IN ('todo', 'doing') AND task_name LIKE 'ingestion:%'",
        "embedding WHERE content_hash NOT IN (SELECT content_hash FROM chunk)",
    ):
        assert fetch(url, f"SELECT * FROM {rows}") == [], rows


async def assert_all_is_well(settings: Settings, url: str) -> None:
    """Check that the doctor finds nothing, in PostgreSQL and in an index made from it."""
    settings = settings.model_copy(update={"database_url": SecretStr(url)})

    async with open_client(settings) as client:

        async def is_up_to_date() -> bool:
            part = (await client.get("/readiness")).json()["parts"]["index"]
            return (part["status"], part["lag_changes"]) == ("ok", 0)

        await eventually(is_up_to_date, within=PATIENCE_SEC)
        async for diagnosis in run_doctor(settings, mend=False, stage=lambda *_: None):
            assert diagnosis.findings == []


def descendants(pid: int) -> list[int]:
    """Return the ids of the processes that a process has started, and those have started."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    return _below(pid, children)


def _below(pid: int, children: Mapping[int, list[int]]) -> list[int]:
    own = children.get(pid, [])
    return [*own, *(found for child in own for found in _below(child, children))]
