"""`ingest` and `status` against a server, as their users run them."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from app.accounts.models import Scope
from app.core.database import Database
from settings import Settings
from tests.accounts.people import auth_required, bearer
from tests.cli.servers import Elsewhere, open_elsewhere, token_of
from tests.cli.terminal import open_terminal
from tests.knowledge.working import working


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    for name in ("birds", "fish"):
        (folder / name).mkdir(parents=True)
        (folder / name / "index.md").write_text(f"# {name.title()}\n\nThey like {name} food.\n")
    (folder / "empty.md").write_text("")
    return folder


async def test_a_folder_is_uploaded_with_its_subfolders_and_seen_through(
    settings: Settings, database: Database, folder: Path, tmp_path: Path
) -> None:
    required = auth_required(settings)
    token = await token_of(
        database, settings, "ann@example.org", Scope.READ, Scope.INGEST, Scope.ASK
    )
    async with (
        working(settings, database),
        open_elsewhere(required, tmp_path / "nowhere", token) as (elsewhere, client),
    ):
        first = await elsewhere.run("ingest", folder)
        (folder / "fish" / "index.md").write_text("# Fish\n\nThey sleep.\n")
        (folder / f"{'long' * 60}.md").write_text("# Long\n")
        (folder / "broken.pdf").write_bytes(b"%PDF-1.4 no pdf at all")
        again = await elsewhere.run("ingest", folder, "--json", "--shared")
        shown = await elsewhere.run("status", "--json")
        missing = await elsewhere.run("ingest", folder / "nothing")
        watched = await elsewhere.run("ingest", folder, "--watch")
        documents = (await client.get("/v1/documents", headers=bearer(token))).json()

    assert first.returncode == 0, first.stderr
    assert first.stderr == "skipped  empty.md: is empty\n"
    assert first.stdout == "2 stored (2 passages), 0 unchanged, 0 removed, 0 skipped, 0 failed\n"
    told = json.loads(again.stdout)
    assert again.returncode == 0, again.stderr
    assert {run["state"] for run in told["ingestions"]} == {"succeeded"}
    assert {one["path"]: one["state"] for one in told["documents"]} == {
        "empty.md": "skipped",
        "broken.pdf": "skipped",
    }
    paths = {(one["path"], one["visibility"]) for one in documents}
    assert ("birds/index.md", "private") in paths
    assert ("fish/index.md", "shared") in paths
    assert {one["kind"] for one in json.loads(shown.stdout)["sources"]} == {"upload"}
    assert missing.returncode == 1
    assert "There is no file or folder" in missing.stderr
    assert watched.returncode == 2


async def test_a_repository_becomes_a_source_that_is_synced_the_next_time(
    settings: Settings, database: Database, folder: Path, tmp_path: Path
) -> None:
    name = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "."),
        (*name, "commit", "--quiet", "--message=Animals"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    settings = settings.model_copy(update={"ingest_roots": [folder]})
    async with (
        working(settings, database),
        open_elsewhere(settings, tmp_path / "nowhere") as (elsewhere, client),
    ):
        url = f"file://{folder}"
        first = await elsewhere.run("ingest", url, "--path-prefix", "birds")
        second = await elsewhere.run("ingest", url, "--path-prefix", "birds", "--shared")
        [source] = (await client.get("/v1/sources")).json()
        filled = await elsewhere.run("ingest", url, "--if-empty")
        shown = await elsewhere.run("status")

    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("1 stored (1 passages")
    assert second.stdout.startswith("0 stored (0 passages, 0 embedded), 1 unchanged")
    assert source["visibility"] == "shared"
    assert (filled.returncode, filled.stdout) == (0, "")
    assert f"git     {url} (birds)  1" in shown.stdout


async def test_what_is_uploaded_is_shown_by_bars_with_a_rate(
    settings: Settings, database: Database, folder: Path, tmp_path: Path
) -> None:
    async with (
        working(settings, database),
        open_elsewhere(settings, tmp_path / "nowhere") as (elsewhere, _),
    ):
        code, text, raw = await asyncio.to_thread(watch_bars, elsewhere, folder)

    assert code == 0, text
    for step in ("Listing", "Uploading", "Storing"):
        assert step in text
    assert "2/2" in text
    assert "2 passages" in text
    assert "\x1b[3" not in raw, "no colours with NO_COLOR"


def watch_bars(elsewhere: Elsewhere, folder: Path) -> tuple[int, str, str]:
    """Ingest at a terminal."""
    environment = elsewhere.environment | {"NO_COLOR": "1"}
    with open_terminal(elsewhere.command("ingest", folder), environment) as terminal:
        return terminal.wait(within=60), terminal.text, terminal.raw
