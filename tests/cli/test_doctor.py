"""`python -m app doctor`, as its users run it."""

import asyncio
import json
from pathlib import Path

import pytest

from settings import Settings
from tests.processes import run_app, running
from tests.support import eventually, execute


@pytest.fixture
def url(settings: Settings) -> str:
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "tea.md").write_text("# Tea\n\nGreen tea is brewed at 80 degrees.\n")
    return folder


def test_it_tells_scripts_and_people_what_differs_and_mends_it(
    settings: Settings, url: str, folder: Path
) -> None:
    run_app(settings.var_dir, "ingest", str(folder), DATABASE_URL=url)
    run_app(settings.var_dir, "search", "tea", DATABASE_URL=url)
    well = run_app(settings.var_dir, "doctor", DATABASE_URL=url)
    execute(url, "DELETE FROM embedding")
    different = run_app(settings.var_dir, "doctor", DATABASE_URL=url)
    as_json = run_app(settings.var_dir, "doctor", "--json", DATABASE_URL=url)
    repaired = run_app(settings.var_dir, "doctor", "--repair", DATABASE_URL=url)

    assert well.returncode == 0, well.stderr
    assert "1 documents with 1 chunks" in well.stdout
    assert "1 points, up to date" in well.stdout
    assert well.stdout.endswith("All is well.\n")
    assert different.returncode == 1
    assert "error     1 chunks have no usable vector" in different.stdout
    assert "--repair would embed them." in different.stdout
    [diagnosis] = json.loads(as_json.stdout)["diagnoses"]
    assert as_json.returncode == 1
    assert diagnosis["findings"][0]["severity"] == "error"
    assert diagnosis["findings"][0]["repair"] == "embed them"
    assert repaired.returncode == 0, repaired.stdout
    assert repaired.stdout.endswith("All is well.\n")


async def test_a_server_that_runs_compares_its_own_replica(
    settings: Settings, url: str, folder: Path
) -> None:
    run_app(settings.var_dir, "ingest", str(folder), DATABASE_URL=url)
    async with running(settings.var_dir, "app", "serve", DATABASE_URL=url) as (client, _):

        async def ready() -> bool:
            return (await client.get("/readiness")).status_code == 200

        await eventually(ready, within=30)
        result = await asyncio.to_thread(run_app, settings.var_dir, "doctor", DATABASE_URL=url)

    assert result.returncode == 0, result.stdout
    assert "(in use): 1 points" in result.stdout


def test_what_cannot_be_checked_is_told_apart_from_what_differs(
    settings: Settings, url: str, unused_url: str
) -> None:
    result = run_app(settings.var_dir, "doctor", DATABASE_URL=url, QDRANT_URL=unused_url)

    assert result.returncode == 2
    assert "Qdrant does not answer" in result.stderr
    assert "Traceback" not in result.stderr
