"""A dump of PostgreSQL is a whole backup: restored beside nothing else, everything is as it was."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.core.database import Database
from app.core.embedded_postgres import EmbeddedPostgres, binary
from app.knowledge.embedding import Embedder
from app.resources.doctor import run_doctor
from settings import Settings
from tests.conftest import MODELS_DIR, Ingest
from tests.runs import open_runs
from tests.support import eventually, execute, fetch, open_client

QUESTION = {"message": "How hot is green tea brewed?"}
FILES: dict[str, str | bytes | None] = {
    "tea.md": "# Tea\n\nGreen tea is brewed at 80 degrees. Black tea is brewed at 95 degrees.\n",
    "coffee.md": "# Coffee\n\nEspresso is pressed through at nine bars.\n",
}
# All rows of a table, in short.
CONTENT = "SELECT count(*), md5(string_agg({0}::text, '' ORDER BY {0}::text)) FROM {0}"


@pytest.fixture
def new_database_url(tmp_path: Path) -> Iterator[str]:
    """An empty database to restore into, on a server that knows nothing of the old one."""
    with EmbeddedPostgres.start(tmp_path / "new" / "postgres") as server:
        yield server.url()


def use_transactions(url: str, number: int) -> None:
    """Have a server count its transactions up to where a new one will not be for long."""
    execute(
        url,
        f"DO $$ BEGIN FOR number IN 1..{number} LOOP "
        "PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$",
    )


def run(program: str, *arguments: str) -> None:
    result = subprocess.run(
        [str(binary(program)), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr


def elsewhere(database_url: str, folder: Path) -> Settings:
    """Settings for a machine that has nothing but the models."""
    var_dir = folder / "elsewhere"
    var_dir.mkdir()
    (var_dir / "models").symlink_to(MODELS_DIR)
    return Settings(database_url=database_url, var_dir=var_dir)


def quietly(*_: object) -> None:
    """Show no progress."""


async def ask(client: httpx2.AsyncClient) -> dict[str, Any]:
    """Return what an answer is made of, without what is another one each time."""
    answer = (await client.post("/v1/qa-create", json=QUESTION)).raise_for_status().json()
    return {key: answer[key] for key in ("message", "sources", "citations", "model")}


async def search(client: httpx2.AsyncClient) -> Any:
    query = {"query": "brewing tea"}
    return (await client.post("/v1/search", json=query)).raise_for_status().json()["hits"]


async def finds(client: httpx2.AsyncClient, path: str) -> bool:
    return path in [hit["path"] for hit in await search(client)]


async def is_ready(client: httpx2.AsyncClient) -> bool:
    parts = (await client.get("/readiness")).json()["parts"]
    return bool(parts["index"]["status"] == "ok" and parts["index"]["lag_changes"] == 0)


async def test_a_dump_replaces_what_a_new_bRAG_has_made(  # noqa: N802 -- its name
    settings: Settings, ingest: Ingest, new_database_url: str, tmp_path: Path
) -> None:
    """While that runs; then it is started anew."""
    assert settings.database_url
    await ingest(FILES)
    async with open_client(settings) as client:
        before = await ask(client), await search(client)
    dump = tmp_path / "brag.dump"
    url = settings.database_url.get_secret_value()
    await asyncio.to_thread(run, "pg_dump", "--format=custom", f"--file={dump}", url)
    restored = elsewhere(new_database_url, tmp_path)

    async with open_client(restored) as client:
        nothing = await search(client)
        await asyncio.to_thread(
            run,
            "pg_restore",
            "--clean",
            "--if-exists",
            "--no-owner",
            "--single-transaction",
            f"--dbname={new_database_url}",
            str(dump),
        )
    async with open_client(restored) as client:
        await eventually(lambda: is_ready(client))
        after = await ask(client), await search(client)

    assert nothing == []
    assert after == before


async def test_what_pg_dump_has_kept_answers_as_before(
    settings: Settings,
    ingest: Ingest,
    embedder: Embedder,
    new_database_url: str,
    tmp_path: Path,
) -> None:
    assert settings.database_url
    url = settings.database_url.get_secret_value()
    use_transactions(url, 3_000)
    await ingest(FILES)
    async with open_client(settings) as client:
        await eventually(lambda: is_ready(client))
        before = await ask(client), await search(client)
        # As the operator does it: while the server runs.
        dump = tmp_path / "brag.dump"
        await asyncio.to_thread(run, "pg_dump", "--format=custom", f"--file={dump}", url)

    await asyncio.to_thread(
        run,
        "pg_restore",
        "--no-owner",
        "--exit-on-error",
        f"--dbname={new_database_url}",
        str(dump),
    )
    restored = elsewhere(new_database_url, tmp_path)
    async with open_client(restored) as client:
        await eventually(lambda: is_ready(client))
        after = await ask(client), await search(client)
        messages = (await client.get("/v1/messages")).raise_for_status().json()
        for table in ("embedding", "chunk", "document"):
            assert fetch(new_database_url, CONTENT.format(table)) == fetch(
                url, CONTENT.format(table)
            )
        # It goes on as if nothing had happened.
        with (
            closing(Database(new_database_url, pool_size=2)) as database,
            open_runs(database, embedder, restored, tmp_path / "more") as runs,
        ):
            await asyncio.to_thread(runs.run, {"mate.md": "# Mate\n\nMate is drunk hot.\n"})
        await eventually(lambda: finds(client, "mate.md"))
    diagnoses = [one async for one in run_doctor(restored, mend=False, stage=quietly)]

    assert after == before
    assert "80 degrees" in before[0]["message"]
    # The question that was asked before the dump, too.
    assert [message["message"] for message in messages].count(QUESTION["message"]) == 2
    assert [one.exit_code for one in diagnoses] == [0]
