"""`ask` and `search` against a server, as their users run them."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.accounts.models import Scope
from app.core.database import Database
from settings import ROOT, Settings
from tests.accounts.people import auth_required
from tests.cli.servers import open_elsewhere, token_of
from tests.conftest import Ingest
from tests.support import eventually, execute
from tests.upstream import Pieces, Upstream, chunk, sse

DUCKS = "# Ducks\n\n## Swimming\n\nDucks can swim very well.\n"


@asynccontextmanager
async def breaking(url: str, after: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A way to a server that breaks off once, behind some bytes; yield it, and what was asked."""
    host, port = url.removeprefix("http://").split(":")
    asked: list[bytes] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, there = await asyncio.open_connection(host, int(port))

        async def ask() -> None:
            while data := await reader.read(65_536):
                first_line = data.partition(b"\r\n")[0]
                # A body may come by itself.
                if first_line.endswith(b" HTTP/1.1"):
                    asked.append(first_line)
                there.write(data)

        asking = asyncio.create_task(ask())
        is_first = not asked
        seen = b""
        while data := await upstream.read(65_536):
            seen += data
            if is_first and (at := seen.find(after)) >= 0:
                # Its line is cut in the middle.
                writer.write(data[: len(data) - len(seen) + at + len(after)])
                await writer.drain()
                break
            writer.write(data)
        for one in (writer, there):
            one.close()
        asking.cancel()

    async with await asyncio.start_server(pass_on, "127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def test_an_answer_has_footnotes_with_quotes_and_links(
    settings: Settings, database: Database, ingest: Ingest, tmp_path: Path
) -> None:
    await ingest({"birds/ducks.md": DUCKS})
    execute(database.url, "UPDATE source SET visibility = 'shared'")
    required = auth_required(settings)
    token = await token_of(database, settings, "ann@example.org", Scope.ASK, Scope.READ)
    async with open_elsewhere(required, tmp_path / "nowhere", token) as (elsewhere, _):
        answer = await elsewhere.run("ask", "Can ducks swim?")
        as_json = await elsewhere.run("ask", "Can ducks swim?", "--json", "--path-prefix", "birds")
        nothing = await elsewhere.run("ask", "Can ducks swim?", "--path-prefix", "fish")
        found = await elsewhere.run("search", "ducks", "-n", "1", "--mode", "bm25", "--json")

    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    text, _, notes = answer.stdout.partition("\n\n[1]")
    assert text == "Ducks can swim very well. [1]"
    place, quote, link = notes.splitlines()
    assert place == " birds/ducks.md > Ducks > Swimming"
    assert quote == "    “Ducks can swim very well.” (verified)"
    assert link.strip().startswith(f"{elsewhere.url}/#/documents/")
    assert link.endswith("?start=22&end=47")
    printed = json.loads(as_json.stdout)
    assert printed["message"] == text
    assert printed["citations"][0]["quote"] == "Ducks can swim very well."
    assert {"id", "model", "usage", "sources", "status"} <= set(printed)
    assert nothing.stdout.startswith("No documents found in context.")
    hits = json.loads(found.stdout)
    assert (hits["mode"], hits["hits"][0]["path"]) == ("bm25", "birds/ducks.md")
    assert not (tmp_path / "nowhere").exists(), "nothing is opened here"


async def test_what_a_server_refuses_is_said_with_what_to_do(
    settings: Settings, database: Database, tmp_path: Path, unused_url: str
) -> None:
    required = auth_required(settings, requests_per_minute=2)
    token = await token_of(database, settings, "ann@example.org", Scope.READ)
    async with open_elsewhere(required, tmp_path, token) as (elsewhere, _):
        unknown = await elsewhere.run("ask", "Why?", "--json", "--token", "brag_no")
        forbidden = await elsewhere.run("ask", "Why?")
        await elsewhere.run("search", "why")
        limited = await elsewhere.run("search", "why", "--json")
    gone = await elsewhere.run("ask", "Why?")
    strange = await elsewhere.run("ask", "Why?", BRAG_URL="brag.example.org")

    results = (unknown, forbidden, limited, gone, strange)
    assert [one.returncode for one in results] == [1] * 5
    assert not any("Traceback" in one.stderr for one in results)
    assert json.loads(unknown.stdout)["error"]["code"] == "unauthorized"
    assert "BRAG_TOKEN" in unknown.stderr
    assert "ask" in forbidden.stderr
    assert forbidden.stdout == ""
    assert json.loads(limited.stdout)["error"]["code"] == "too_many_requests"
    assert "Try again in " in limited.stderr
    assert "can't be reached" in gone.stderr
    assert "must look like https://" in strange.stderr


async def test_words_that_are_no_utf_8_are_refused_in_a_sentence(
    settings: Settings, tmp_path: Path
) -> None:
    async with open_elsewhere(settings, tmp_path) as (elsewhere, _):
        asked = await elsewhere.run("ask", "how \udcff")
        searched = await elsewhere.run("search", "how \udcff", "--json")
        chatted = await elsewhere.run(
            "chat",
            "--json",
            lines=["how \udcff", "Can ducks swim?"],
            # As where the locale is not C's.
            PYTHONIOENCODING="utf-8:strict",
        )

    words = "must not contain half of a surrogate pair."
    assert asked.stderr == f"The question {words}\n"
    assert json.loads(searched.stdout)["error"]["message"] == f"The query {words}"
    refused, answered = map(json.loads, chatted.stdout.splitlines())
    assert refused["error"] == {
        "code": "invalid_request",
        "message": f"The question {words}",
        "details": {},
    }
    assert answered["role"] == "assistant"


async def test_an_answer_goes_on_across_a_connection_that_breaks(
    upstream_settings: Settings, upstream: Upstream, ingest: Ingest, tmp_path: Path
) -> None:
    await ingest({"ducks.md": DUCKS})
    pieces = [sse(chunk(piece)) for piece in ("Ducks ", "can ", "swim ", "very well. [1]")]
    upstream.behave = upstream.says(
        *pieces, sse(chunk(None, finish_reason="stop")), "data: [DONE]\n\n"
    )
    async with (
        open_elsewhere(upstream_settings, tmp_path) as (elsewhere, _),
        breaking(elsewhere.url, b'"content":"Duc') as (url, asked),
    ):
        answer = await elsewhere.run("ask", "Can ducks swim?", "--url", url)

    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("Ducks can swim very well. [1]\n\n[1] ducks.md")
    assert asked[0].startswith(b"POST /v1/qa-stream ")
    assert asked[1].startswith(b"GET /v1/messages/")
    assert len(upstream.requests) == 1, "it is asked once"


async def test_what_documents_and_models_say_does_not_move_the_cursor(
    upstream_settings: Settings, upstream: Upstream, ingest: Ingest, tmp_path: Path
) -> None:
    await ingest({"ducks.md": DUCKS})
    upstream.behave = upstream.answers("Ducks \x1b[2Jcan\tswim.\u2028\n[1]")
    async with open_elsewhere(upstream_settings, tmp_path) as (elsewhere, _):
        answer = await elsewhere.run("ask", "Can ducks swim?")

    assert "\x1b" not in answer.stdout
    assert answer.stdout.startswith("Ducks \\x1b[2Jcan\tswim.\\u2028\n[1]\n")


async def test_a_reader_that_leaves_in_the_middle_ends_it_without_a_word(
    upstream_settings: Settings, upstream: Upstream, ingest: Ingest, tmp_path: Path
) -> None:
    """As `brag ask ... | head -1`."""
    await ingest({"ducks.md": DUCKS})
    pieces: Pieces = asyncio.Queue()
    upstream.behave = upstream.types(pieces)
    async with open_elsewhere(upstream_settings, tmp_path) as (elsewhere, _):
        reader, writer = os.pipe()
        asking = await asyncio.create_subprocess_exec(
            *elsewhere.command("ask", "Can ducks swim?"),
            env=elsewhere.environment,
            cwd=ROOT,
            stdout=writer,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(writer)
        async with asyncio.timeout(60):
            pieces.put_nowait("Ducks can swim very well. [1]\n")
            with os.fdopen(reader, "rb") as stdout:
                first = await asyncio.to_thread(stdout.readline)
            # What is left to print are footnotes.
            pieces.put_nowait(None)
            _, said = await asking.communicate()

    assert first == b"Ducks can swim very well. [1]\n"
    assert said == b""
    assert asking.returncode == 1


async def test_ctrl_c_stops_the_answer_that_would_be_json(
    upstream_settings: Settings, upstream: Upstream, ingest: Ingest, tmp_path: Path
) -> None:
    await ingest({"ducks.md": DUCKS})
    pieces: Pieces = asyncio.Queue()
    upstream.behave = upstream.types(pieces)
    async with open_elsewhere(upstream_settings, tmp_path) as (elsewhere, client):
        asking = await asyncio.create_subprocess_exec(
            *elsewhere.command("ask", "Can ducks swim?", "--json"),
            env=elsewhere.environment,
            cwd=ROOT,
            stderr=asyncio.subprocess.DEVNULL,
        )

        async def is_asked() -> bool:
            return bool(upstream.requests)

        await eventually(is_asked, within=60)
        asking.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            code = await asking.wait()
            await upstream.stream_ended.wait()
        messages = (await client.get("/v1/messages")).json()

    assert code == 130
    assert [message["role"] for message in messages] == ["user"], "nothing was answered"
