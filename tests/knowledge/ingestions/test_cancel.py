"""Runs that are cancelled, whatever they are doing: it ends at once, and the next run is whole."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from starlette.types import Receive, Scope, Send

from app.accounts.models import LOCAL
from app.core.database import Database
from app.knowledge.connectors.config import FolderConfig, WebConfig
from app.knowledge.ingestions.services import cancel, find
from app.knowledge.sources.services import sync
from settings import Settings
from tests.knowledge.ingestions.faults import (
    assert_nothing_is_under_way,
    begin,
    descendants,
    ended,
    write_files,
)
from tests.knowledge.ingestions.noting import noting_worker
from tests.knowledge.parsing.documents import endless_pdf
from tests.serving import serve
from tests.support import eventually, fetch
from tests.worker.steps import gone

# It takes a fraction of a second, and two seconds are promised. A machine that is busy with other
# tests gets more; the steps themselves would take minutes.
SOON_SEC = 10


class SlowSite:
    """A site that keeps some of its visitors waiting, and knows when they leave."""

    def __init__(self) -> None:
        self.url = ""
        self.waits_at: str | None = None
        self.visited = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            return
        if scope["path"] == self.waits_at:
            self.visited.set()
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
            return
        pages = {
            "/sitemap.xml": (
                "application/xml",
                f"<urlset><url><loc>{self.url}/a</loc></url></urlset>",
            ),
            "/a": (
                "text/html",
                "<html><body><h1>A</h1><p>The page tells of ducks.</p></body></html>",
            ),
        }
        kind, body = pages.get(scope["path"], ("text/plain", ""))
        headers = [(b"content-type", kind.encode())]
        status = 200 if body else 404
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body.encode()})


@pytest.fixture
async def site() -> AsyncIterator[SlowSite]:
    site = SlowSite()
    async with serve(site) as site.url:
        yield site


@pytest.fixture
def web_settings(ingest_settings: Settings) -> Settings:
    return ingest_settings.model_copy(update={"web_allow_private_addresses": True})


def a_web_source(site: SlowSite) -> WebConfig:
    return WebConfig(kind="web", url=f"{site.url}/sitemap.xml")


def a_folder(folder: Path) -> FolderConfig:
    return FolderConfig(kind="folder", path=str(folder))


async def assert_cancelled(database: Database, run: UUID, *pids: int) -> None:
    """Cancel a run; check that it ends soon, with its processes and with nothing half done."""
    async with asyncio.timeout(SOON_SEC):
        assert (await cancel(database, LOCAL, run)).state == "cancelled"
        await gone(*pids)
        assert await ended(database.url, run) == "cancelled"
    assert_nothing_is_under_way(database.url)
    jobs = "SELECT DISTINCT status::text FROM procrastinate_jobs WHERE task_name LIKE 'ingestion:%'"
    assert not {("doing",), ("failed",)} & set(fetch(database.url, jobs))
    assert fetch(database.url, "SELECT path FROM document") == []


async def assert_next_run_is_whole(database: Database, run: UUID, stored: int) -> None:
    """Check that the next run over the source does what the cancelled one has not done."""
    source_id = (await find(database, LOCAL, run)).source_id
    following = (await sync(database, LOCAL, source_id)).id
    assert following != run
    assert await ended(database.url, following) == "succeeded"
    assert (await find(database, LOCAL, following)).stored == stored
    assert fetch(database.url, "SELECT count(*) FROM document") == [(stored,)]


async def test_while_it_is_queued(
    ingest_settings: Settings, database: Database, folder: Path, tmp_path: Path
) -> None:
    write_files(folder, 3)
    run = await begin(database, ingest_settings, a_folder(folder))

    await assert_cancelled(database, run)

    async with noting_worker(ingest_settings, database, tmp_path / "notes"):
        await assert_next_run_is_whole(database, run, 3)
    jobs = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'ingestion:list'"
    assert fetch(database.url, f"{jobs} AND attempts > 0") == [(1,)]


async def test_while_it_lists_its_source(
    web_settings: Settings, database: Database, tmp_path: Path, site: SlowSite
) -> None:
    site.waits_at = "/sitemap.xml"
    async with noting_worker(web_settings, database, tmp_path / "notes") as notes:
        run = await begin(database, web_settings, a_web_source(site))
        pid = await notes.begun("list_source")
        await site.visited.wait()

        await assert_cancelled(database, run, pid)

        await asyncio.wait_for(site.left.wait(), SOON_SEC)
        site.waits_at = None
        await assert_next_run_is_whole(database, run, 1)


async def test_while_it_fetches_a_document(
    web_settings: Settings, database: Database, tmp_path: Path, site: SlowSite
) -> None:
    site.waits_at = "/a"
    async with noting_worker(web_settings, database, tmp_path / "notes") as notes:
        run = await begin(database, web_settings, a_web_source(site))
        pid = await notes.begun("fetch_document")
        await site.visited.wait()

        await assert_cancelled(database, run, pid)

        await asyncio.wait_for(site.left.wait(), SOON_SEC)
        site.waits_at = None
        await assert_next_run_is_whole(database, run, 1)


async def test_while_it_reads_a_document(
    ingest_settings: Settings, database: Database, folder: Path, tmp_path: Path
) -> None:
    """The process that reads a PDF is a child of the step's."""
    (folder / "0.pdf").write_bytes(endless_pdf())
    write_files(folder, 3)
    async with noting_worker(ingest_settings, database, tmp_path / "notes") as notes:
        run = await begin(database, ingest_settings, a_folder(folder))
        pid = await notes.begun("store_document")

        async def has_child() -> bool:
            return bool(descendants(pid))

        await eventually(has_child, within=60)
        await assert_cancelled(database, run, pid, *descendants(pid))

        (folder / "0.pdf").unlink()
        await assert_next_run_is_whole(database, run, 3)


async def test_while_it_embeds_a_document(
    ingest_settings: Settings, database: Database, folder: Path, tmp_path: Path
) -> None:
    big = "\n\n".join(f"Sentence {n} says that {n * n} is a square." * 10 for n in range(10_000))
    (folder / "0.md").write_text(big)
    write_files(folder, 3)
    async with noting_worker(ingest_settings, database, tmp_path / "notes") as notes:
        run = await begin(database, ingest_settings, a_folder(folder))
        pid = await notes.begun("store_document")

        async def is_embedding() -> bool:
            return has_loaded_the_model(pid)

        await eventually(is_embedding, within=60)
        await assert_cancelled(database, run, pid)

        (folder / "0.md").unlink()
        await assert_next_run_is_whole(database, run, 3)


def has_loaded_the_model(pid: int) -> bool:
    return "onnxruntime" in Path(f"/proc/{pid}/maps").read_text()


async def test_a_run_that_is_cancelled_many_times_at_once_is_cancelled_once(
    ingest_settings: Settings, database: Database, folder: Path, tmp_path: Path
) -> None:
    write_files(folder, 30)
    async with noting_worker(ingest_settings, database, tmp_path / "notes") as notes:
        run = await begin(database, ingest_settings, a_folder(folder))
        await notes.begun("store_document")

        found = await asyncio.gather(*(cancel(database, LOCAL, run) for _ in range(8)))

        assert {ingestion.state for ingestion in found} == {"cancelled"}
        assert await ended(database.url, run) == "cancelled"
        stored = (await find(database, LOCAL, run)).stored
        assert_nothing_is_under_way(database.url)
        assert fetch(database.url, "SELECT count(*) FROM document") == [(stored,)]
    lines = f"SELECT message FROM ingestion_log WHERE ingestion_id = '{run}'"
    assert fetch(database.url, lines).count(("cancelled",)) == 1
