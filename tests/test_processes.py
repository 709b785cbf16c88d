"""Several processes on one folder, with nothing configured."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from tests.conftest import MODELS_DIR
from tests.processes import postmaster_is_running, run_app, running
from tests.support import eventually

GUIDE = "# Tea\n\nGreen tea is brewed at 80 degrees.\n"


@pytest.fixture
def var_dir(tmp_path: Path) -> Path:
    var_dir = tmp_path / "var"
    var_dir.mkdir()
    (var_dir / "models").symlink_to(MODELS_DIR)
    return var_dir


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "tea.md").write_text(GUIDE)
    return folder


async def answers(client: httpx2.AsyncClient) -> bool:
    response = await client.post("/v1/qa-create", json={"message": "How hot is green tea brewed?"})
    assert response.status_code == 200, response.text
    return "80 degrees" in response.json()["message"]


async def test_servers_that_run_answer_from_what_a_command_ingests(
    var_dir: Path, folder: Path
) -> None:
    async with (
        running(var_dir, "app", "serve") as (first, _),
        running(var_dir, "app", "serve") as (second, _),
    ):
        assert not await answers(first)
        result = await asyncio.to_thread(run_app, var_dir, "ingest", str(folder))
        assert result.returncode == 0, result.stderr

        await eventually(lambda: answers(first))
        await eventually(lambda: answers(second))

    await eventually(lambda: stopped(var_dir))


async def test_gunicorn_serves_with_four_workers_and_leaves_nothing_behind(
    var_dir: Path, folder: Path
) -> None:
    assert run_app(var_dir, "ingest", str(folder)).returncode == 0
    command = ("gunicorn", "--config", "settings/gunicorn.conf.py")

    async with running(var_dir, *command) as (client, process):
        results = await asyncio.gather(*(answers(client) for _ in range(40)))
        slots = [path for path in (var_dir / "qdrant").iterdir() if path.is_dir()]

    assert all(results)
    assert len(slots) == 4
    assert process.returncode == 0
    await eventually(lambda: stopped(var_dir))


async def stopped(var_dir: Path) -> bool:
    return not postmaster_is_running(var_dir)
