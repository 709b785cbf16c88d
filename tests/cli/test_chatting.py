"""`chat`, from a pipe and in a terminal."""

import asyncio
import json
import signal
from pathlib import Path
from uuid import uuid4

from app.cli.connection import opened
from settings import ROOT, Settings
from tests.cli.servers import Elsewhere, open_elsewhere
from tests.cli.terminal import CTRL_C, CTRL_D, open_terminal
from tests.conftest import Ingest
from tests.support import eventually
from tests.upstream import Pieces, Upstream

DUCKS = "# Ducks\n\nDucks can swim very well. Ducks eat snails.\n"


async def test_lines_of_a_pipe_are_a_conversation_that_can_be_gone_on_with(
    settings: Settings, ingest: Ingest, tmp_path: Path
) -> None:
    await ingest({"ducks.md": DUCKS})
    async with open_elsewhere(settings, tmp_path) as (elsewhere, client):
        told = await elsewhere.run("chat", lines=["Can ducks swim?", "", "/sources", "/fly"])
        answers = await elsewhere.run(
            "chat", "--continue", "--json", lines=["What do they eat?", "/new", "Can ducks swim?"]
        )
        chats = (await client.get("/v1/chats")).json()
        lost = await elsewhere.run("chat", "--resume", "nothing")

    assert told.returncode == 1, "one line could not be done"
    assert told.stderr == "There is no /fly; see /help.\n"
    assert told.stdout.startswith("Ducks can swim very well. [1]\n\n[1] ducks.md > Ducks\n")
    assert "    Ducks can swim very well. Ducks eat snails.\n" in told.stdout
    first, second = map(json.loads, answers.stdout.splitlines())
    assert "Ducks eat snails." in first["message"], "the question leans on the one before"
    assert first["history"]["given"] == 2
    assert {first["chat_id"], second["chat_id"]} == {chat["id"] for chat in chats}
    assert lost.returncode == 1
    assert "no chat whose id begins with nothing" in lost.stderr


async def test_somebody_at_a_terminal_stops_an_answer_and_goes_on(
    upstream_settings: Settings, upstream: Upstream, ingest: Ingest, tmp_path: Path
) -> None:
    await ingest({"ducks.md": DUCKS})
    pieces: Pieces = asyncio.Queue()
    async with open_elsewhere(upstream_settings, tmp_path) as (elsewhere, client):
        upstream.behave = upstream.types(pieces)
        pieces.put_nowait("Ducks can swim")
        code, text = await asyncio.to_thread(talk, elsewhere)
        chat = (await client.get("/v1/chats")).json()[0]
        messages = (await client.get(f"/v1/chats/{chat['id']}/messages")).json()

    assert code == 0
    assert "Traceback" not in text
    assert [message["status"] for message in messages] == ["cancelled", "complete"]
    assert messages[0]["message"] == "Ducks can swim", "what there was is kept"


async def test_ctrl_c_ends_a_pipes_conversation_and_its_answer(
    upstream_settings: Settings, upstream: Upstream, ingest: Ingest, tmp_path: Path
) -> None:
    await ingest({"ducks.md": DUCKS})
    upstream.behave = upstream.types(asyncio.Queue())
    async with open_elsewhere(upstream_settings, tmp_path) as (elsewhere, client):
        chatting = await asyncio.create_subprocess_exec(
            *elsewhere.command("chat", "--json"),
            env=elsewhere.environment,
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert chatting.stdin
        chatting.stdin.write(b"Can ducks swim?\nAnd fly?\n")

        async def is_asked() -> bool:
            return bool(upstream.requests)

        await eventually(is_asked, within=60)
        chatting.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            _, told = await chatting.communicate()
        [chat] = (await client.get("/v1/chats")).json()

    assert chatting.returncode == 130
    assert told == b"Interrupted.\n"
    assert (chat["message_count"], chat["generating"]) == (1, None), "only the first was asked"


async def test_a_chat_is_found_however_many_there_are(settings: Settings, tmp_path: Path) -> None:
    async with open_elsewhere(settings, tmp_path) as (elsewhere, client):
        ids = [(await client.post("/v1/chats")).json()["id"] for _ in range(3)]
        async with opened(elsewhere.url, None) as connection:
            pages = await connection.pages("/v1/chats", limit=1)
        whole = await elsewhere.run("chat", "--resume", ids[0])
        begun = await elsewhere.run("chat", "--resume", ids[0][:-1])
        lost = await elsewhere.run("chat", "--resume", str(uuid4()))

    assert [chat["id"] for chat in pages] == ids[::-1]
    assert [whole.returncode, begun.returncode, lost.returncode] == [0, 0, 1]
    assert "Traceback" not in lost.stderr


def talk(elsewhere: Elsewhere) -> tuple[int, str]:
    """Sit at a terminal, impatiently."""
    environment = elsewhere.environment | {"NO_COLOR": "1"}
    with open_terminal(elsewhere.command("chat"), environment) as terminal:
        terminal.expect("Ctrl-D ends.")
        terminal.expect("> ")
        terminal.send("Can ducks swim?\n")
        terminal.expect("Ducks can swim")
        terminal.send(CTRL_C)
        terminal.expect("Stopped.")
        terminal.expect("> ")
        terminal.send("half a li" + CTRL_C)
        terminal.expect("> ")
        terminal.send("/help\n")
        terminal.expect("/sources")
        terminal.send("/chats\n")
        terminal.expect("Can ducks swim?")
        terminal.send(CTRL_D)
        return terminal.wait(), terminal.text
