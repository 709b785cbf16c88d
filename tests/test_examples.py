"""The programs in examples/, as they stand there; ask.mjs runs among the page's tests."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.core.database import Database
from app.main import create_app
from settings import ROOT, Settings
from tests.conftest import Ingest
from tests.cutting import open_wire
from tests.knowledge.working import working
from tests.serving import serve
from tests.support import open_client
from tests.upstream import Pieces, Upstream

EXAMPLES = ROOT / "examples"
FERRY = "# Ferry\n\nThe ferry leaves at seven in the morning.\n"
QUESTION = "When does the ferry leave?"
ANSWER = "The ferry leaves at seven in the morning. [1]"
CITED = f"[1] ferry.md: {ANSWER.removesuffix(' [1]')} (verified)"


@asynccontextmanager
async def started(*command: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a program, which has a minute."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin"},
    )
    try:
        async with asyncio.timeout(60):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def run(*command: str | Path) -> tuple[int | None, str, str]:
    """Run a program to its end; return its exit code, and what it says."""
    async with started(*command) as process:
        output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def test_curl_adds_a_document_asks_and_removes_it_again(
    settings: Settings, database: Database
) -> None:
    async with open_client(settings) as client, working(settings, database):
        code, output, errors = await run(
            "/bin/sh", EXAMPLES / "curl.sh", str(client.base_url).rstrip("/")
        )
        documents = (await client.get("/v1/documents")).json()
        chats = (await client.get("/v1/chats")).json()

    assert (code, errors) == (0, "")
    _, added, stored, asked, streamed, chatted, _ = output.split("--- ")
    assert '"path":"examples/ferry.md"' in added
    assert '"state":"succeeded"' in stored
    assert '"message":"The ferry leaves at seven in the morning. [1]"' in asked
    assert '"quote":"A ticket costs four euros."' in streamed
    assert chatted.count("A ticket costs four euros. [1]") == 1
    assert (documents, chats) == ([], [])


async def test_python_prints_an_answer_and_what_it_cites(
    settings: Settings, ingest: Ingest
) -> None:
    await ingest({"ferry.md": FERRY})
    async with serve(create_app(settings)) as url:
        answered = await run(sys.executable, EXAMPLES / "ask.py", QUESTION, url)
        refused = await run(sys.executable, EXAMPLES / "ask.py", "", url)

    assert answered == (0, f"{ANSWER}\n\n{CITED}\n", "")
    assert refused == (1, "", "message: must not be empty\n")


async def test_python_reads_on_where_the_connection_broke(
    upstream_settings: Settings, upstream: Upstream, ingest: Ingest
) -> None:
    await ingest({"ferry.md": FERRY})
    pieces: Pieces = asyncio.Queue()
    upstream.behave = upstream.types(pieces)
    first, rest = "The ferry", " leaves at seven in the morning. [1]"
    async with (
        serve(create_app(upstream_settings)) as url,
        open_wire(url) as wire,
        started(sys.executable, EXAMPLES / "ask.py", QUESTION, wire.url) as asking,
    ):
        assert asking.stdout is not None
        pieces.put_nowait(first)
        read = await asking.stdout.readexactly(len(first))
        wire.cut()
        wire.mend()
        for piece in (rest, None):
            pieces.put_nowait(piece)
        output, errors = await asking.communicate()

    assert read.decode() + output.decode() == f"{ANSWER}\n\n{CITED}\n"
    assert (asking.returncode, errors) == (0, b"")
    assert len(upstream.requests) == 1, "it is asked once"
