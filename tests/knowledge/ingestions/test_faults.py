"""Runs that meet each other, deletions, full disks, hostile files and clients that go away."""

import asyncio
import contextlib
import dataclasses
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx2
import psycopg2
import pytest

from app.accounts.models import LOCAL
from app.core.database import Database
from app.knowledge.connectors.config import FolderConfig
from app.knowledge.embedding import Embedder
from app.knowledge.ingestions import services
from settings import Settings
from tests.knowledge.ingestions.faults import (
    assert_all_is_well,
    assert_nothing_is_under_way,
    assert_stored_once,
    begin,
    done,
    ended,
    watch_writes,
    write_files,
)
from tests.knowledge.ingestions.hurried import HURRY
from tests.knowledge.ingestions.noting import noting_worker
from tests.knowledge.parsing.documents import endless_pdf
from tests.knowledge.working import working
from tests.runs import Runs, open_runs
from tests.support import eventually, execute, fetch, open_client

OF_A_SOURCE = ("source", "document", "chunk", "ingestion", "ingestion_item", "ingestion_log")
DUCKS = {"title": "Ducks", "text": "The capital of the ducks is Entenhausen."}


def a_source(folder: Path) -> dict[str, Any]:
    return {"config": {"kind": "folder", "path": str(folder)}}


@contextlib.contextmanager
def full_disk(url: str, table: str) -> Iterator[None]:
    """Have PostgreSQL answer as on a full disk whenever something is written to a table."""
    execute(
        url,
        "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION USING ERRCODE = ''disk_full''; END';"
        f"CREATE TRIGGER fill BEFORE INSERT OR UPDATE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION fill()",
    )
    yield
    execute(url, "DROP FUNCTION fill CASCADE")


@pytest.fixture
def runs(
    database: Database, embedder: Embedder, settings: Settings, tmp_path: Path
) -> Iterator[Runs]:
    with open_runs(database, embedder, settings, tmp_path / "documents") as runs:
        yield runs


@contextlib.asynccontextmanager
async def held_in_the_middle_of_storing(
    url: str,
) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Keep whoever stores from going on until the block ends; yield a wait for so many who wait."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    async def wait_for(count: int) -> None:
        async def are_there() -> bool:
            return fetch(url, waiting) == [(count,)]

        await eventually(are_there, within=60)

    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        # What is to be written next, when source and run are locked.
        cursor.execute("LOCK TABLE document IN SHARE MODE")
        yield wait_for


async def test_a_document_that_two_workers_store_at_once_is_stored_once(runs: Runs) -> None:
    """One was taken for dead, and was not."""
    url = runs.database.url
    runs.write({"ducks.md": DUCKS["text"]})
    watch_writes(url)
    run = runs.begin()
    runs.steps.list_source(run)

    async with asyncio.TaskGroup() as group, held_in_the_middle_of_storing(url) as wait_for:
        for count in (1, 2):
            group.create_task(asyncio.to_thread(runs.steps.store_document, run, "ducks.md"))
            await wait_for(count)

    assert_stored_once(url, UUID(run), {"ducks.md": DUCKS["text"]})


async def test_a_run_that_is_cancelled_while_a_document_is_written_counts_what_is_there(
    runs: Runs,
) -> None:
    url = runs.database.url
    runs.write({"ducks.md": DUCKS["text"], "hens.md": "Hens."})
    run = runs.begin()
    runs.steps.list_source(run)

    async with asyncio.TaskGroup() as group, held_in_the_middle_of_storing(url) as wait_for:
        group.create_task(asyncio.to_thread(runs.steps.store_document, run, "ducks.md"))
        await wait_for(1)
        group.create_task(services.cancel(runs.database, LOCAL, UUID(run)))
        await wait_for(2)

    found = runs.find(run)
    assert (found["state"], found["stored"]) == ("cancelled", 1)
    assert runs.items(run) == {"ducks.md": "stored", "hens.md": "cancelled"}
    assert runs.texts().keys() == {"ducks.md"}


async def test_many_syncs_at_once_are_one_run(
    ingest_api: httpx2.AsyncClient,
    ingest_settings: Settings,
    database: Database,
    folder: Path,
) -> None:
    texts = write_files(folder, 10)
    watch_writes(database.url)
    created = await ingest_api.post("/v1/sources", json=a_source(folder) | {"sync": False})
    url = f"/v1/sources/{created.json()['id']}/sync"

    responses = await asyncio.gather(*(ingest_api.post(url) for _ in range(20)))
    async with working(ingest_settings, database):
        joining = asyncio.gather(*(ingest_api.post(url) for _ in range(20)))
        (run,) = {response.json()["id"] for response in responses}
        assert await ended(database.url, UUID(run)) == "succeeded"
        later = {response.json()["id"] for response in await joining} - {run}

        assert {response.status_code for response in responses} == {202}
        # Those that came after its end, if any.
        assert len(later) <= 1
        for other in later:
            assert await ended(database.url, UUID(other)) == "succeeded"

    assert_stored_once(database.url, UUID(run), texts)
    assert_nothing_is_under_way(database.url)


async def test_a_source_that_is_deleted_while_it_is_ingested_leaves_nothing_behind(
    ingest_api: httpx2.AsyncClient,
    ingest_settings: Settings,
    database: Database,
    folder: Path,
) -> None:
    url = database.url
    for name in ("first", "second"):
        (folder / name).mkdir()
    write_files(folder / "first", 100)
    (folder / "second" / "ducks.md").write_text(DUCKS["text"])
    async with working(ingest_settings, database):
        created = (await ingest_api.post("/v1/sources", json=a_source(folder / "first"))).json()
        run = UUID(created["ingestion"]["id"])

        async def is_under_way() -> bool:
            return done(url, run) >= 5

        await eventually(is_under_way, within=60)
        deleted = await ingest_api.delete(f"/v1/sources/{created['id']}")
        left = {table: fetch(url, f"SELECT * FROM {table}") for table in OF_A_SOURCE}
        answer = await ingest_api.post("/v1/qa-create", json={"message": "What does File 0 tell?"})

        assert deleted.status_code == 204
        assert left == {table: [] for table in OF_A_SOURCE}
        assert answer.json()["sources"] == []

        # The worker does not mind, and nothing comes back.
        other = (await ingest_api.post("/v1/sources", json=a_source(folder / "second"))).json()
        assert await ended(url, UUID(other["ingestion"]["id"])) == "succeeded"

    assert fetch(url, "SELECT path FROM document") == [("ducks.md",)]
    assert fetch(url, "SELECT count(*) FROM embedding") == [(1,)]
    assert fetch(url, "SELECT id::text FROM source") == [(other["id"],)]
    assert_nothing_is_under_way(url)
    await assert_all_is_well(ingest_settings, url)


async def test_a_document_that_is_deleted_while_it_is_stored_does_not_come_back(
    ingest_api: httpx2.AsyncClient, ingest_settings: Settings, database: Database, tmp_path: Path
) -> None:
    text = "\n\n".join(f"Sentence {n} says that {n * n} is a square." * 10 for n in range(200))
    async with noting_worker(ingest_settings, database, tmp_path / "notes") as notes:
        accepted = await ingest_api.post("/v1/documents", json={"title": "Squares", "text": text})
        (document,) = accepted.json()["documents"]
        run = UUID(accepted.json()["ingestion"]["id"])
        await notes.begun("store_document")

        deleted = await ingest_api.delete(f"/v1/documents/{document['id']}")

        assert (deleted.status_code, done(database.url, run)) == (204, 0)
        assert await ended(database.url, run) == "succeeded"
    found = await services.find(database, LOCAL, run)
    assert (found.stored, found.skipped) == (0, 1)
    assert (await ingest_api.get(f"/v1/documents/{document['id']}")).status_code == 404
    assert fetch(database.url, "SELECT path FROM upload") == []
    assert fetch(database.url, "SELECT count(*) FROM embedding") == [(0,)]
    assert_nothing_is_under_way(database.url)


async def test_a_file_that_is_read_without_end_fails_alone(
    ingest_settings: Settings,
    database: Database,
    folder: Path,
    tmp_path: Path,
) -> None:
    texts = write_files(folder, 5)
    (folder / "endless.pdf").write_bytes(endless_pdf())
    async with noting_worker(ingest_settings, database, tmp_path / "notes", parser_sec=1):
        config = FolderConfig(kind="folder", path=str(folder))
        run = await begin(database, ingest_settings, config)
        assert await ended(database.url, run) == "incomplete"

    found = await services.find(database, LOCAL, run)
    assert (found.stored, found.failed) == (5, 1)
    assert dict(fetch(database.url, "SELECT path, text FROM document")) == texts
    reasons = "SELECT path, error FROM ingestion_item WHERE error IS NOT NULL"
    assert fetch(database.url, reasons) == [("endless.pdf", "takes longer than 1 s to read")]


async def test_a_database_without_room_fails_documents_until_there_is_some(
    ingest_settings: Settings, database: Database, folder: Path, tmp_path: Path
) -> None:
    url = database.url
    texts = write_files(folder, 3)
    timing = dataclasses.replace(HURRY, first_retry=0.05)
    async with noting_worker(ingest_settings, database, tmp_path / "notes", timing=timing):
        with full_disk(url, "chunk"):
            config = FolderConfig(kind="folder", path=str(folder))
            run = await begin(database, ingest_settings, config)
            assert await ended(url, run) == "incomplete"
            failed = await services.find(database, LOCAL, run)
            left = fetch(url, "SELECT path FROM document UNION ALL SELECT model FROM embedding")
        errors = fetch(url, "SELECT DISTINCT state, error FROM ingestion_item")
        watch_writes(url)
        await services.retry(database, LOCAL, run)
        assert await ended(url, run) == "succeeded"

    assert (failed.stored, failed.failed) == (0, 3)
    assert left == []
    assert errors == [("failed", "The database is unavailable. Please try again in a moment.")]
    assert_stored_once(url, run, texts)
    assert_nothing_is_under_way(url)


async def test_an_upload_that_the_disk_has_no_room_for_is_refused_and_not_stored(
    ingest_api: httpx2.AsyncClient, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Path("/dev/full")
    # More than is held in memory.
    files = [("file", ("a.md", b"Words. " * 1_000_000))]
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", lambda **_: full.open("w+b", buffering=0))
        refused = await ingest_api.post("/v1/documents", files=files)
    left = fetch(database_url, "SELECT path FROM upload")
    accepted = await ingest_api.post("/v1/documents", files=files)

    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "disk_full"
    assert refused.json()["detail"] == "The server's disk is full."
    assert left == []
    assert accepted.status_code == 202


async def test_an_upload_that_the_database_has_no_room_for_is_refused_and_not_stored(
    ingest_api: httpx2.AsyncClient, database_url: str
) -> None:
    with full_disk(database_url, "upload"):
        refused = await ingest_api.post("/v1/documents", json=DUCKS)
    left = fetch(
        database_url, "SELECT id FROM ingestion UNION ALL SELECT document_id FROM upload"
    ) + fetch(database_url, "SELECT id FROM procrastinate_jobs")
    accepted = await ingest_api.post("/v1/documents", json=DUCKS)

    assert refused.status_code == 503
    assert "try again" in refused.json()["detail"]
    assert left == []
    assert accepted.status_code == 202


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=xyz", "application/json"])
async def test_an_upload_whose_client_goes_away_stores_nothing_and_is_no_error(
    ingest_api: httpx2.AsyncClient,
    database_url: str,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    address = urlsplit(str(ingest_api.base_url))
    part = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.md"\r\n\r\nWords.'
    head = (
        f"POST /v1/documents HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: {kind}\r\n"
        "Content-Length: 1000000\r\nX-Request-ID: cut-off\r\n\r\n"
    )
    with caplog.at_level(logging.INFO):
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(head.encode() + part)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

        async def is_over() -> bool:
            return "POST /v1/documents" in caplog.messages

        await eventually(is_over)

    assert fetch(database_url, "SELECT path FROM upload") == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_ingestion_goes_on_while_the_index_is_away(
    ingest_settings: Settings, database: Database, folder: Path, unused_url: str
) -> None:
    texts = write_files(folder, 5)
    watch_writes(database.url)
    settings = ingest_settings.model_copy(update={"qdrant_url": unused_url.removesuffix("/v1")})
    async with open_client(settings) as client, working(settings, database):
        created = await client.post("/v1/sources", json=a_source(folder))
        run = UUID(created.json()["ingestion"]["id"])
        assert await ended(database.url, run) == "succeeded"
        answer = await client.post("/v1/qa-create", json={"message": "What does File 0 tell?"})

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "index_unavailable"
    assert_stored_once(database.url, run, texts)
