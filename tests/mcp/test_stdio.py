"""`python -m app mcp` in a process of its own, as clients start it."""

import asyncio
import os
import signal
import subprocess
import sys

import httpx2
import pytest
from mcp import Client, MCPError, StdioServerParameters

from app.core.database import Database
from app.main import create_app
from settings import ROOT, Settings
from tests.accounts.people import auth_required, join, log_in, new_token
from tests.conftest import Ingest
from tests.cutting import open_wire
from tests.mcp.clients import connect, text_of
from tests.processes import environment
from tests.serving import serve

QUESTION = {"question": "When does the ferry leave?"}
FERRY = {"ferry.md": "# Ferry\n\nThe ferry leaves at seven in the morning.\n"}
HELLO = (
    b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",'
    b'"capabilities":{},"clientInfo":{"name":"a test","version":"1"}}}\n'
)


def _command(settings: Settings, *arguments: str, **variables: str) -> StdioServerParameters:
    assert settings.database_url
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "app", "mcp", *arguments],
        cwd=ROOT,
        env=environment(
            settings.var_dir, DATABASE_URL=settings.database_url.get_secret_value(), **variables
        ),
    )


async def test_the_documents_here_are_served_as_the_api_serves_them(
    settings: Settings, ingest: Ingest
) -> None:
    await ingest(FERRY)
    async with Client(_command(settings)) as client:
        answer = await client.call_tool("ask", QUESTION)

    # A server in the same folder, later: the same answer, and the question is kept.
    async with serve(create_app(settings)) as url, connect(url) as client:
        again = await client.call_tool("ask", QUESTION)
        async with httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as api:
            kept = (await api.get("/v1/messages")).json()

    assert "seven" in text_of(answer)
    assert answer.structured_content["answer"] == again.structured_content["answer"]
    assert answer.structured_content["citations"] == again.structured_content["citations"]
    assert answer.structured_content["message_id"] in {message["id"] for message in kept}


async def test_calls_are_passed_on_to_a_server_elsewhere(
    settings: Settings, database: Database, ingest: Ingest
) -> None:
    await ingest(FERRY)
    secured = auth_required(settings)
    session = log_in(database, secured, join(database, "ann@example.org"))
    async with serve(create_app(secured)) as url:
        async with httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as api:
            token = (await new_token(api, session, "read"))["token"]
        command = _command(settings, "--url", url, BRAG_TOKEN=token)
        async with Client(command) as client:
            listed = [tool.name for tool in (await client.list_tools()).tools]
            sources = await client.call_tool("list_sources", {})
            refused = await client.call_tool("ask", QUESTION)
            wrong = await client.call_tool("search", {"query": "a", "top_k": 0})

    assert listed == ["search", "list_sources", "get_document"]
    # They are the local account's own, and Ann has none.
    assert sources.structured_content["sources"] == []
    assert refused.is_error
    assert text_of(refused) == "This token lacks the scope ask."
    assert text_of(wrong) == "top_k: Input should be greater than or equal to 1"


async def test_a_server_elsewhere_may_be_away_for_a_while(
    settings: Settings, ingest: Ingest
) -> None:
    await ingest(FERRY)
    async with (
        serve(create_app(settings)) as url,
        open_wire(url) as wire,
        Client(_command(settings, "--url", wire.url)) as client,
        asyncio.timeout(60),
    ):
        before = await client.call_tool("search", {"query": "ferry"})
        wire.cut()
        away = await client.call_tool("search", {"query": "ferry"})
        with pytest.raises(MCPError, match="can't be reached"):
            await client.list_tools(cache_mode="bypass")
        wire.mend()
        after = await client.call_tool("search", {"query": "ferry"})

    assert away.is_error
    assert "can't be reached" in text_of(away)
    assert text_of(after) == text_of(before)


def test_a_server_that_is_not_there_is_told_of_in_a_sentence(unused_url: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "app", "mcp", "--url", unused_url, "--token", "guess"],
        cwd=ROOT,
        env=os.environ,
        input=HELLO,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 1
    assert result.stdout == b""
    assert (
        result.stderr.decode()
        .strip()
        .endswith("/mcp can't be reached (ConnectError). Is bRAG running there?")
    )


@pytest.mark.parametrize(
    ("url", "token", "words"),
    [
        ("http://127.0.0.1:1", "brag_\u2026", "The token holds characters that no token has."),
        ("brag.example.org", "guess", "--url (BRAG_URL) must look like https://brag.example.org."),
    ],
)
def test_what_can_be_no_token_or_address_is_told_of_too(url: str, token: str, words: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "app", "mcp", "--url", url],
        cwd=ROOT,
        env=os.environ | {"BRAG_TOKEN": token},
        input=HELLO,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.decode().strip() == words


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_while_the_client_still_listens(
    settings: Settings, number: signal.Signals
) -> None:
    command = _command(settings)
    process = subprocess.Popen(
        [command.command, *command.args],
        cwd=ROOT,
        env=command.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(HELLO)
        process.stdin.flush()
        assert b'"id":1' in process.stdout.readline()

        process.send_signal(number)

        assert process.wait(30) == 128 + number
        assert process.stdout.read() == b""
