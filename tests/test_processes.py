"""Several processes on one folder, with nothing configured."""

import asyncio
import signal
import socket
from pathlib import Path

import httpx2
import pytest

from tests.conftest import MODELS_DIR
from tests.processes import GUNICORN, postmaster_is_running, run, run_app, running
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

    async with running(var_dir, *GUNICORN, WORKERS="4") as (client, process):
        # The first worker that is ready answers; the others follow.
        await eventually(lambda: slots(var_dir, 4), within=60)
        results = await asyncio.gather(*(answers(client) for _ in range(40)))

    assert all(results)
    assert process.returncode == 0
    await eventually(lambda: stopped(var_dir))


async def test_gunicorn_goes_on_with_new_workers_after_a_sighup(
    var_dir: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"

    async def started(workers: int) -> bool:
        return log.read_text().count("Application startup complete") >= workers

    async with running(var_dir, *GUNICORN, log=log, WORKERS="1") as (client, process):
        await eventually(lambda: started(1), within=30)
        process.send_signal(signal.SIGHUP)
        await eventually(lambda: started(2), within=30)

        assert not await answers(client)
        assert postmaster_is_running(var_dir)

    assert process.returncode == 0
    await eventually(lambda: stopped(var_dir))


@pytest.mark.parametrize("command", [("app", "serve"), GUNICORN])
def test_a_port_in_use_is_said_with_a_way_out(var_dir: Path, command: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = run(var_dir, *command, PORT=str(port))

    assert result.returncode == 1
    assert f"Port {port} on 127.0.0.1 is in use." in result.stderr
    assert "PORT=" in result.stderr
    assert "Traceback" not in result.stderr
    assert not postmaster_is_running(var_dir)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"SENTRY_DSN": "nonsense"}, "SENTRY_DSN"),
        ({"VAR_DIR": "/dev/null/brag"}, "VAR_DIR"),
        ({"EMBEDDING_MODEL": "BAAI/bge-small-en-v1.5"}, "make prepare"),
    ],
)
def test_gunicorn_says_in_a_plain_sentence_what_cannot_work(
    var_dir: Path, variables: dict[str, str], words: str
) -> None:
    result = run(var_dir, *GUNICORN, WORKERS="1", **variables)

    assert result.returncode != 0
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [("app", "serve"), GUNICORN, ("app.worker",)])
def test_production_without_authentication_does_not_start(
    var_dir: Path, command: tuple[str, ...]
) -> None:
    result = run(var_dir, *command, ENVIRONMENT="production", SECRET_KEY="hunter2" * 5)

    assert result.returncode == 1
    sentence = "The settings are not valid. With ENVIRONMENT=production, set AUTH=required."
    assert result.stderr == f"{sentence} See .env.example.\n"
    assert not postmaster_is_running(var_dir)


def test_uvicorn_says_what_cannot_work_without_showing_secrets(var_dir: Path) -> None:
    result = run(
        var_dir,
        *("uvicorn", "--factory", "app.main:create_app", "--port", "0"),
        ENVIRONMENT="production",
        SECRET_KEY="hunter2" * 5,
    )

    assert result.returncode == 1
    assert "With ENVIRONMENT=production, set AUTH=required." in result.stderr
    assert "hunter2" not in result.stderr


async def slots(var_dir: Path, number: int) -> bool:
    return len([path for path in (var_dir / "qdrant").iterdir() if path.is_dir()]) == number


async def stopped(var_dir: Path) -> bool:
    return not postmaster_is_running(var_dir)
