"""`python -m app reindex`, as its users run it."""

import asyncio
import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.knowledge.model_files import DEFAULT_MODEL
from settings import ROOT, Settings
from tests.knowledge.second_model import SECOND_MODEL, models_with_second
from tests.processes import environment, run_app, running
from tests.support import eventually, execute, fetch

App = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def url(settings: Settings) -> str:
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


@pytest.fixture
def var_dir(tmp_path: Path) -> Path:
    """A machine on which both models are prepared."""
    var_dir = tmp_path / "both"
    var_dir.mkdir()
    models_with_second(var_dir / "models")
    return var_dir


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "ducks.md").write_text("# Ducks\n\nDucks can swim.\n")
    return folder


@pytest.fixture
def app(var_dir: Path, url: str) -> App:
    """Run a command to its end, with the model that is named."""

    def app(*arguments: str | Path, model: str) -> subprocess.CompletedProcess[str]:
        return run_app(var_dir, *map(str, arguments), DATABASE_URL=url, EMBEDDING_MODEL=model)

    return app


def test_a_refused_model_is_taken_after_the_reindex_that_is_advised(app: App, folder: Path) -> None:
    app("ingest", folder, model=DEFAULT_MODEL)
    refused = app("search", "ducks", model=SECOND_MODEL)
    reindexed = app("reindex", model=SECOND_MODEL)
    found = app("search", "ducks", model=SECOND_MODEL)
    old = app("search", "ducks", model=DEFAULT_MODEL)
    well = app("doctor", model=SECOND_MODEL)

    assert refused.returncode == 1
    assert f"`EMBEDDING_MODEL={SECOND_MODEL} python -m app reindex`" in refused.stderr
    assert (reindexed.returncode, reindexed.stderr) == (0, "")
    assert f"EMBEDDING_MODEL={SECOND_MODEL}" in reindexed.stdout
    assert "ducks.md" in found.stdout
    assert old.returncode == 1
    assert f"Set EMBEDDING_MODEL={SECOND_MODEL}" in old.stderr
    assert well.returncode == 0, well.stdout


def test_with_the_same_model_there_is_nothing_to_do(app: App, folder: Path) -> None:
    empty = app("reindex", model=SECOND_MODEL)
    app("ingest", folder, model=DEFAULT_MODEL)
    same = app("reindex", model=DEFAULT_MODEL)
    as_json = app("reindex", "--json", model=DEFAULT_MODEL)

    assert empty.returncode == same.returncode == 0, empty.stderr
    assert empty.stdout.startswith("Nothing is embedded yet.")
    assert same.stdout.startswith("There is nothing to do")
    assert json.loads(as_json.stdout) == {
        "result": "nothing_to_do",
        "embedding_model": DEFAULT_MODEL,
    }


def test_a_model_that_is_not_prepared_is_asked_for_and_changes_nothing(
    app: App, url: str, folder: Path
) -> None:
    app("ingest", folder, model=DEFAULT_MODEL)

    result = app("reindex", model="BAAI/bge-small-en-v1.5")

    assert result.returncode == 1
    assert "Run `EMBEDDING_MODEL=BAAI/bge-small-en-v1.5 make prepare`" in result.stderr
    assert fetch(url, "SELECT model, next_model FROM index_model") == [(DEFAULT_MODEL, None)]


async def test_one_that_is_killed_is_noted_by_the_doctor_and_gone_on_with(
    app: App, var_dir: Path, url: str, folder: Path
) -> None:
    app("ingest", folder, model=DEFAULT_MODEL)
    # Enough for many batches.
    execute(
        url,
        "INSERT INTO chunk (id, document_id, ordinal, start_offset, end_offset, heading_path,"
        " content_hash, text) SELECT gen_random_uuid(), document.id, n, 0, 1, '{}',"
        " sha256(convert_to('passage ' || n, 'UTF8')), 'passage ' || n"
        " FROM document, generate_series(1, 20000) AS n",
    )
    embedded = f"SELECT count(*) FROM embedding WHERE model = '{SECOND_MODEL}'"

    async def has_begun() -> bool:
        return fetch(url, embedded) > [(0,)]

    process = subprocess.Popen(
        [sys.executable, "-m", "app", "reindex"],
        cwd=ROOT,
        env=environment(var_dir, DATABASE_URL=url, EMBEDDING_MODEL=SECOND_MODEL),
    )
    try:
        await eventually(has_begun, within=60)
    finally:
        process.kill()
        process.wait()
    [(kept,)] = fetch(url, embedded)
    noted = app("doctor", model=DEFAULT_MODEL)
    again = app("reindex", model=SECOND_MODEL)

    assert 0 < kept < 20_001
    assert f"note      {kept:,} of 20,001 texts are embedded with {SECOND_MODEL}" in noted.stdout
    assert again.returncode == 0, again.stderr
    assert fetch(url, embedded) == [(20_001,)]
    assert fetch(url, "SELECT model FROM index_model") == [(SECOND_MODEL,)]


async def test_a_server_that_runs_answers_all_the_time_and_switches_by_itself(
    app: App, var_dir: Path, url: str, folder: Path
) -> None:
    app("ingest", folder, model=DEFAULT_MODEL)
    question = {"message": "Can ducks swim?"}
    async with running(
        var_dir, "app", "serve", DATABASE_URL=url, EMBEDDING_MODEL=DEFAULT_MODEL
    ) as (client, _):
        reindexing = asyncio.create_task(
            asyncio.to_thread(functools.partial(app, "reindex", model=SECOND_MODEL))
        )

        async def has_switched() -> bool:
            answer = await client.post("/v1/qa-create", json=question)
            assert answer.status_code == 200, answer.text
            assert "Ducks can swim." in answer.json()["message"]
            parts = (await client.get("/readiness")).json()["parts"]
            return bool(parts["embedding_model"]["detail"] == SECOND_MODEL)

        await eventually(has_switched, within=60)
        assert (await reindexing).returncode == 0
        assert await has_switched()
