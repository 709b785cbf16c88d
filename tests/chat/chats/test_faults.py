"""Answers in the making, when a process dies or stops, or PostgreSQL goes away and comes back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import Popen

import httpx2
import pytest
from pydantic import SecretStr

from app.chat import resuming
from app.core.embedded_postgres import EmbeddedPostgres
from app.core.migrations import migrate
from settings import Settings
from tests.chat.chats.asking import begin_chat, open_stream, say
from tests.processes import running
from tests.support import Event, eventually, execute, fetch, open_client, parse_events
from tests.upstream import MODEL, Pieces, Upstream

ANSWERS = "SELECT message, status FROM message WHERE role = 'assistant' ORDER BY created_at"
OPEN = "SELECT id FROM generation WHERE ended_at IS NULL"
BODY = {"message": "Count!", "retrieval": False, "stream": True}


@asynccontextmanager
async def server(
    settings: Settings, upstream: Upstream
) -> AsyncIterator[tuple[httpx2.AsyncClient, Popen[bytes]]]:
    """Run a server process on the test's database, with the test's language model."""
    assert settings.database_url is not None
    async with running(
        settings.var_dir,
        *("app", "serve"),
        DATABASE_URL=settings.database_url.get_secret_value(),
        OPENAI_BASE_URL=upstream.url,
        OPENAI_MODELS=MODEL,
    ) as running_server:
        yield running_server


async def are_kept(database_url: str, number: int) -> bool:
    """Whether so many events are in PostgreSQL."""
    query = "SELECT sum(jsonb_array_length(events)) FROM generation_event"
    return fetch(database_url, query) == [(number,)]


async def read_on(client: httpx2.AsyncClient, answer_id: str, after: int) -> list[Event]:
    """Read an answer from behind an event to its end."""
    response = await client.get(
        f"/v1/messages/{answer_id}/stream", headers={"Last-Event-ID": str(after)}
    )
    assert response.status_code == 200, response.text
    return parse_events(response.text)


def texts(events: list[Event]) -> list[str]:
    return [event.data["content"] for event in events if event.name == "message"]


async def test_of_an_answer_whose_process_is_killed_all_is_read_once_in_another(
    settings: Settings, database_url: str, upstream: Upstream, pieces: Pieces
) -> None:
    async with (
        server(settings, upstream) as (killed, process),
        server(settings, upstream) as (other, _),
    ):
        chat_id = await begin_chat(killed)
        pieces.put_nowait("One")
        async with open_stream(killed, f"/v1/chats/{chat_id}/messages", json=BODY) as events:
            seen = [await anext(events), await anext(events)]
            pieces.put_nowait(" two")
            pieces.put_nowait(" three")
            # What comes now is kept, but gets lost on its way to the reader.
            await eventually(lambda: are_kept(database_url, 4))
            process.kill()
        answer_id = seen[0].data["id"]

        # The process counts as alive for a while; whoever reads is told as soon as it does not.
        rest = await read_on(other, answer_id, after=2)

        assert [event.id for event in rest] == ["3", "4", "5"]
        assert texts(rest) == [" two", " three"]
        assert (rest[-1].name, rest[-1].data["code"]) == ("error", "server_stopping")
        assert await read_on(other, answer_id, after=0) == seen + rest
        stored = (await other.get(f"/v1/messages/{answer_id}")).json()
        assert (stored["message"], stored["status"]) == ("One two three", "failed")
        assert (await other.get(f"/v1/messages/{answer_id}/trace")).status_code == 200

        upstream.behave = upstream.answers("Well")
        answer = await say(other, chat_id, "And now?", retrieval=False)

        assert answer["message"] == "Well"
        assert answer["history"]["given"] == 2
        assert fetch(database_url, OPEN) == []


async def test_a_process_that_is_told_to_stop_keeps_what_there_is_and_says_so(
    settings: Settings, database_url: str, upstream: Upstream, pieces: Pieces
) -> None:
    async with (
        server(settings, upstream) as (stopped, process),
        server(settings, upstream) as (other, _),
    ):
        chat_id = await begin_chat(stopped)
        pieces.put_nowait("One")
        seen: list[Event] = []
        async with open_stream(stopped, f"/v1/chats/{chat_id}/messages", json=BODY) as events:
            seen += [await anext(events), await anext(events)]
            process.terminate()
            # Answers have ten seconds to come to their end.
            async with asyncio.timeout(15):
                seen += [event async for event in events]
        assert await asyncio.to_thread(process.wait, 5) == -signal.SIGTERM

        assert (seen[-1].name, seen[-1].data["code"]) == ("error", "server_stopping")
        assert fetch(database_url, ANSWERS) == [("One", "cancelled")]
        [last] = await read_on(other, seen[0].data["id"], after=2)
        assert (last.name, last.id, last.data["code"]) == ("error", "3", "server_stopping")
        upstream.behave = upstream.answers("Well")
        assert (await say(other, chat_id, "And now?", retrieval=False))["message"] == "Well"


class Outage:
    """A PostgreSQL that the test kills and starts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[EmbeddedPostgres] = []
        self.start()
        self.url = self._servers[0].url()
        migrate(self.url)

    def start(self) -> None:
        """Have it run, and wait until it answers."""
        self._servers.append(EmbeddedPostgres.start(self._folder))

    def kill(self) -> None:
        """Have it gone at once, with all connections."""
        pid = int((self._folder / "cluster/postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Let go of it."""
        for server in self._servers:
            server.stop()


@pytest.fixture
def outage(tmp_path: Path) -> Iterator[Outage]:
    outage = Outage(tmp_path / "postgres")
    yield outage
    outage.stop()


@pytest.fixture
def interrupted(outage: Outage, upstream_settings: Settings, embedder: object) -> Settings:
    """Settings of a server on that PostgreSQL."""
    return upstream_settings.model_copy(update={"database_url": SecretStr(outage.url)})


@pytest.fixture
async def client(interrupted: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with open_client(interrupted) as client:
        yield client


async def is_unavailable(client: httpx2.AsyncClient) -> bool:
    return (await client.get("/readiness")).status_code == 503


async def test_an_answer_goes_on_when_postgresql_is_back_wherever_it_is_read(
    client: httpx2.AsyncClient,
    interrupted: Settings,
    outage: Outage,
    upstream: Upstream,
    pieces: Pieces,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # So often that the other process must notice.
    monkeypatch.setattr(resuming, "POLL_SEC", 0.01)
    chat_id = await begin_chat(client)
    pieces.put_nowait("One")
    path = f"/v1/chats/{chat_id}/messages"
    async with (
        asyncio.timeout(60),
        open_client(interrupted) as other,
        open_stream(client, path, json=BODY) as here,
    ):
        seen = [await anext(here), await anext(here)]
        rest = f"/v1/messages/{seen[0].data['id']}/stream"
        async with open_stream(other, rest) as there:
            seen_there = [await anext(there), await anext(there)]
            outage.kill()
            await eventually(lambda: is_unavailable(client))
            pieces.put_nowait(" two")
            pieces.put_nowait(" three")
            await asyncio.to_thread(outage.start)
            while texts(seen) != ["One", " two", " three"]:
                seen.append(await anext(here))
            pieces.put_nowait(None)
            seen += [event async for event in here]
            seen_there += [event async for event in there]

        assert [event.id for event in seen] == [str(n + 1) for n in range(len(seen))]
        assert (seen[-1].name, seen[-1].data["status"]) == ("done", "complete")
        assert seen_there == seen
        assert fetch(outage.url, ANSWERS) == [("One two three", "complete")]
        assert fetch(outage.url, OPEN) == []
        upstream.behave = upstream.answers("Well")
        assert (await say(other, chat_id, "And now?", retrieval=False))["message"] == "Well"


async def test_an_answer_that_ends_while_postgresql_is_away_fails_and_its_chat_goes_on(
    client: httpx2.AsyncClient, outage: Outage, upstream: Upstream, pieces: Pieces
) -> None:
    chat_id = await begin_chat(client)
    pieces.put_nowait("One")
    path = f"/v1/chats/{chat_id}/messages"
    async with asyncio.timeout(60), open_stream(client, path, json=BODY) as events:
        seen = [await anext(events), await anext(events)]
        outage.kill()
        await eventually(lambda: is_unavailable(client))
        pieces.put_nowait(" two")
        pieces.put_nowait(None)
        seen += [event async for event in events]
    assert (seen[-1].name, seen[-1].data["code"]) == ("error", "post_processing_failed")
    assert [event.id for event in seen] == [str(n + 1) for n in range(len(seen))]

    await asyncio.to_thread(outage.start)

    async def has_ended() -> bool:
        return fetch(outage.url, OPEN) == []

    await eventually(has_ended, within=20)
    assert await read_on(client, seen[0].data["id"], after=0) == seen
    upstream.behave = upstream.answers("Well")
    answer = await say(client, chat_id, "And now?", retrieval=False)
    assert answer["message"] == "Well"


@pytest.mark.parametrize("first", [["One"], []], ids=["in the middle", "before its first word"])
async def test_a_process_that_was_taken_for_dead_changes_nothing_any_more(
    upstream_settings: Settings,
    embedder: object,
    database_url: str,
    upstream: Upstream,
    pieces: Pieces,
    first: list[str],
) -> None:
    async with open_client(upstream_settings) as frozen, open_client(upstream_settings) as other:
        chat_id = await begin_chat(frozen)
        path = f"/v1/chats/{chat_id}/messages"
        for piece in first:
            pieces.put_nowait(piece)
        async with open_stream(frozen, path, json=BODY) as events:
            seen = [await anext(events) for _ in ["started", *first]]
            answer_id = seen[0].data["id"]
            # As if it had said nothing for a while, as a machine does that sleeps.
            execute(database_url, "UPDATE generation SET process_id = gen_random_uuid()")
            rest = await read_on(other, answer_id, after=len(seen))
            for piece in (" two", " three"):
                pieces.put_nowait(piece)
            upstream.behave = upstream.answers("Well")
            answer = await say(other, chat_id, "And now?", retrieval=False)
            seen += [event async for event in events]

        assert [(event.name, event.data["code"]) for event in rest] == [
            ("error", "server_stopping")
        ]
        # The one who has read on there is told no other story.
        assert [(event.id, event.name) for event in seen[len(first) + 1 :]] == [
            (rest[0].id, "error")
        ]
        assert await read_on(other, answer_id, after=0) == seen[:-1] + rest
        assert fetch(database_url, ANSWERS) == [(text, "failed") for text in first] + [
            ("Well", "complete")
        ]
        assert (await other.get(path)).json()[0]["id"] == answer["id"]
