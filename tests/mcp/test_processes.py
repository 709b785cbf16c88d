"""The tools where several processes serve: gunicorn's workers, and a program beside a server."""

import asyncio
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult

from settings import ROOT
from tests.conftest import MODELS_DIR
from tests.mcp.clients import MODES, connect, text_of
from tests.processes import GUNICORN, PYTHON, environment, run_app, running
from tests.support import eventually

FERRY = "# Ferry\n\nThe ferry leaves at seven in the morning.\n"
QUESTION = {"question": "When does the ferry leave?"}
CALLS = 4


@pytest.fixture
def var_dir(tmp_path: Path) -> Path:
    var_dir = tmp_path / "var"
    var_dir.mkdir()
    (var_dir / "models").symlink_to(MODELS_DIR)
    return var_dir


async def test_calls_go_to_any_worker_and_to_a_program_in_the_same_folder(
    var_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "ferry.md").write_text(FERRY)
    assert run_app(var_dir, "ingest", str(tmp_path / "ferry.md")).returncode == 0
    log = tmp_path / "log"

    async def both_serve() -> bool:
        return log.read_text().count("Application startup complete") == 2

    async with running(var_dir, *GUNICORN, log=log, WORKERS="2") as (server, _):
        await eventually(both_serve, within=60)
        url = str(server.base_url).rstrip("/")

        async def ask(mode: str) -> list[CallToolResult]:
            async with connect(url, mode=mode) as client:
                assert "ask" in [tool.name for tool in (await client.list_tools()).tools]
                return [await client.call_tool("ask", QUESTION) for _ in range(CALLS)]

        # A client with a connection of its own each, so that both workers have some.
        over_http = await asyncio.gather(*(ask(mode) for mode in MODES * 2))
        program = StdioServerParameters(
            command=PYTHON[0], args=["-m", "app", "mcp"], cwd=ROOT, env=environment(var_dir)
        )
        async with Client(program) as client:
            beside = await client.call_tool("ask", QUESTION)
        kept = (await server.get("/v1/messages", params={"limit": 200})).json()

    answers = [beside, *(answer for several in over_http for answer in several)]
    assert len(answers) == 1 + CALLS * 4
    assert all("seven" in text_of(answer) for answer in answers)
    told = {answer.structured_content["message_id"] for answer in answers}
    assert told <= {message["id"] for message in kept}
    assert len(told) == len(answers)
