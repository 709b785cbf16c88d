"""Moments at which something goes wrong, or comes too late, and what has to be true afterwards."""

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx2
import pytest

from app.accounts import profile
from app.accounts.models import LOCAL
from app.chat import turns
from app.chat.chats import services
from app.core.database import Database, Queries
from app.core.exceptions import DatabaseUnavailable
from settings import Settings
from tests.chat.chats.asking import begin_chat, next_event, open_stream
from tests.chat.chats.conversations import DEAD_SEC, Conversations
from tests.support import Event, eventually, execute, fetch, open_client, parse_events
from tests.upstream import Pieces, Upstream

# What is done in place of a call of PostgreSQL, which it is given.
Instead = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]

ANSWERS = "SELECT message, status FROM message WHERE role = 'assistant' ORDER BY created_at"
QUESTIONS = "SELECT message FROM message WHERE role = 'user'"
OPEN = "SELECT id FROM generation WHERE ended_at IS NULL"
HAVE_LONG_BEEN_ALIVE = "UPDATE process SET alive_since = now() - interval '1 minute'"
SEEM_DEAD = "UPDATE process SET alive_until = now() - interval '1 second'"
BODY = {"message": "Count!", "retrieval": False, "stream": True}
PLAIN = {"message": "Count!"}
KEY = {"Idempotency-Key": "the first"}


@pytest.fixture
async def one_at_a_time(
    upstream_settings: Settings, embedder: object
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a process that answers one question at a time."""
    limited = upstream_settings.model_copy(update={"concurrent_generations": 1})
    async with open_client(limited) as client:
        yield client


@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch) -> dict[str, Instead]:
    """What is done in place of a function that runs in PostgreSQL, by the function's name."""
    by_name: dict[str, Instead] = {}
    for method in ("run", "run_statement"):
        original = getattr(Database, method)

        async def run(
            self: Database, fn: Any, *args: Any, original: Any = original, **kwargs: Any
        ) -> Any:
            def call() -> Awaitable[Any]:
                result: Awaitable[Any] = original(self, fn, *args, **kwargs)
                return result

            instead = by_name.get(getattr(fn, "__name__", ""))
            return await (instead(call) if instead else call())

        monkeypatch.setattr(Database, method, run)
    return by_name


class Held:
    """A call of PostgreSQL that waits until the test lets it go on."""

    def __init__(self) -> None:
        self.has_come = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def __call__(self, call: Callable[[], Awaitable[Any]]) -> Any:
        self.has_come.set()
        await self.goes_on.wait()
        return await call()


async def lose_the_reply(call: Callable[[], Awaitable[Any]]) -> Any:
    """Have it done, and the connection break before anybody is told."""
    await call()
    raise DatabaseUnavailable


async def be_away(_: Callable[[], Awaitable[Any]]) -> Any:
    raise DatabaseUnavailable


async def ask(client: httpx2.AsyncClient) -> str:
    """Begin a chat; return where its questions go."""
    return f"/v1/chats/{await begin_chat(client)}/messages"


async def read_on(client: httpx2.AsyncClient, answer_id: str, after: int = 0) -> list[Event]:
    """Read an answer from behind an event to its end."""
    response = await client.get(
        f"/v1/messages/{answer_id}/stream", headers={"Last-Event-ID": str(after)}
    )
    assert response.status_code == 200, response.text
    return parse_events(response.text)


def texts(events: list[Event]) -> list[str]:
    return [event.data["content"] for event in events if event.name == "message"]


async def none_is_open(database_url: str) -> None:
    async def is_none() -> bool:
        return fetch(database_url, OPEN) == []

    await eventually(is_none)


async def test_a_reader_who_lags_behind_gets_everything(
    upstream_api: httpx2.AsyncClient, database_url: str, upstream: Upstream
) -> None:
    # More than fits into all buffers between here and there.
    upstream.behave = upstream.answers(*(f"{n} " + "x" * 10_000 for n in range(1000)))
    path, body = await ask(upstream_api), json.dumps(BODY)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    received = b""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        url = upstream_api.base_url
        await loop.sock_connect(connection, (url.host, url.port))
        await loop.sock_sendall(connection, (head + body).encode())

        async def is_complete() -> bool:
            return fetch(database_url, "SELECT FROM generation WHERE ended_at IS NOT NULL") != []

        await eventually(is_complete, within=20)
        async with asyncio.timeout(20):
            while piece := await loop.sock_recv(connection, 1 << 20):
                received += piece

    numbers = [int(number) for number in re.findall(rb"^id: (\d+)", received, re.MULTILINE)]
    assert numbers == list(range(1, 1004))
    assert b"event: done" in received


async def test_a_question_whose_commit_is_not_confirmed_locks_no_chat(
    upstream_api: httpx2.AsyncClient, database_url: str, instead: dict[str, Instead]
) -> None:
    path = await ask(upstream_api)
    instead["begin_question"] = lose_the_reply
    assert (await upstream_api.post(path, json=BODY)).status_code == 503
    assert len(fetch(database_url, QUESTIONS)) == 1
    instead.clear()

    await none_is_open(database_url)
    assert (await upstream_api.post(path, json=BODY)).status_code == 200


@pytest.mark.parametrize("way", ["regenerate", "replay"])
async def test_an_answer_given_again_whose_commit_is_not_confirmed_takes_no_slot(
    one_at_a_time: httpx2.AsyncClient,
    database_url: str,
    instead: dict[str, Instead],
    way: str,
) -> None:
    path = await ask(one_at_a_time)
    answer = (await one_at_a_time.post(path, json=BODY | {"stream": False})).json()
    instead["begin_answer"] = instead["begin_replay"] = lose_the_reply
    again = {
        "regenerate": path.replace("messages", "regenerate"),
        "replay": f"/v1/messages/{answer['id']}/replay",
    }[way]
    body: dict[str, Any] | None = {} if way == "regenerate" else None
    assert (await one_at_a_time.post(again, json=body)).status_code == 503
    assert len(fetch(database_url, "SELECT FROM generation")) == 2
    instead.clear()

    await none_is_open(database_url)
    assert (await one_at_a_time.post(again, json=body)).status_code == 200


async def test_who_leaves_while_the_question_is_stored_takes_no_slot(
    one_at_a_time: httpx2.AsyncClient, database_url: str, instead: dict[str, Instead]
) -> None:
    instead["begin_question"] = held = Held()
    asking = asyncio.create_task(one_at_a_time.post("/v1/completion-stream", json=PLAIN))
    await held.has_come.wait()
    asking.cancel()
    await asyncio.wait({asking})
    held.goes_on.set()

    async def is_stored() -> bool:
        return len(fetch(database_url, QUESTIONS)) == 1

    await eventually(is_stored)
    await none_is_open(database_url)
    instead.clear()
    assert (await one_at_a_time.post("/v1/completion", json=PLAIN)).status_code == 200


async def test_who_leaves_while_a_failure_is_noted_takes_no_slot(
    one_at_a_time: httpx2.AsyncClient,
    database_url: str,
    upstream: Upstream,
    instead: dict[str, Instead],
) -> None:
    upstream.behave = upstream.refuses(400)
    instead["abandon_turn"] = held = Held()
    asking = asyncio.create_task(one_at_a_time.post("/v1/completion-stream", json=PLAIN))
    await held.has_come.wait()
    instead.clear()
    asking.cancel()
    await asyncio.wait({asking})

    await none_is_open(database_url)


async def test_events_whose_commit_is_not_confirmed_leave_no_gap(
    upstream_api: httpx2.AsyncClient,
    other_api: httpx2.AsyncClient,
    pieces: Pieces,
    instead: dict[str, Instead],
) -> None:
    pieces.put_nowait("One")
    async with open_stream(upstream_api, await ask(upstream_api), json=BODY) as events:
        seen = [await anext(events), await anext(events)]
        lost = asyncio.Event()

        async def lose_it(call: Callable[[], Awaitable[Any]]) -> Any:
            await call()
            instead.clear()
            lost.set()
            raise DatabaseUnavailable

        instead["_insert_events"] = lose_it
        pieces.put_nowait(" two")
        await lost.wait()
        # What comes after it is sent together with it.
        pieces.put_nowait(" three")
        pieces.put_nowait(None)
        seen += [event async for event in events]

    assert texts(seen) == ["One", " two", " three", ""]
    assert [event.id for event in seen] == [str(n + 1) for n in range(len(seen))]
    assert await read_on(other_api, seen[0].data["id"]) == seen


@pytest.mark.parametrize("here", [True, False], ids=["same process", "other process"])
async def test_who_stops_an_answer_that_is_complete_already_comes_too_late(
    upstream_api: httpx2.AsyncClient,
    other_api: httpx2.AsyncClient,
    database_url: str,
    pieces: Pieces,
    instead: dict[str, Instead],
    here: bool,
) -> None:
    instead["_store"] = held = Held()
    pieces.put_nowait("All of it")
    pieces.put_nowait(None)
    async with open_stream(upstream_api, await ask(upstream_api), json=BODY) as events:
        started = await anext(events)
        await held.has_come.wait()
        client = upstream_api if here else other_api
        stopping = asyncio.create_task(client.post(f"/v1/messages/{started.data['id']}/cancel"))

        async def is_known() -> bool:
            return fetch(database_url, "SELECT cancel_requested FROM generation") == [(True,)]

        await eventually(is_known)
        if here:
            # It has been told by now, too.
            await upstream_api.get(f"/v1/messages/{started.data['id']}")
        held.goes_on.set()
        done = await next_event(events, "done")

    assert done.data["status"] == "complete"
    stopped = (await stopping).json()
    assert (stopped["status"], stopped["message"]) == ("complete", "All of it")
    assert fetch(database_url, ANSWERS) == [("All of it", "complete")]


async def test_who_leaves_while_the_complete_answer_is_stored_changes_nothing(
    one_at_a_time: httpx2.AsyncClient,
    database_url: str,
    pieces: Pieces,
    instead: dict[str, Instead],
) -> None:
    instead["_store"] = held = Held()
    pieces.put_nowait("All of it")
    pieces.put_nowait(None)
    path = "/v1/completion-stream"
    async with open_stream(one_at_a_time, path, json=PLAIN) as events:
        await next_event(events, "message")
        await held.has_come.wait()
        [making] = [task for task in asyncio.all_tasks() if "EventStream._pump" in repr(task)]

    async def has_left() -> bool:
        return making.cancelling() > 0

    await eventually(has_left)
    held.goes_on.set()

    await none_is_open(database_url)
    assert fetch(database_url, ANSWERS) == [("All of it", "complete")]


async def test_a_process_that_seems_dead_to_postgresql_gives_up_none_of_its_own_answers(
    upstream_api: httpx2.AsyncClient,
    database_url: str,
    pieces: Pieces,
    instead: dict[str, Instead],
) -> None:
    path = await ask(upstream_api)
    pieces.put_nowait("One")
    async with open_stream(upstream_api, path, json=BODY) as events:
        seen = [await anext(events), await anext(events)]
        # As after PostgreSQL was away, until it says again that it is alive.
        instead["_be_alive"] = be_away
        execute(database_url, SEEM_DEAD)
        refused = await upstream_api.post(path, json=BODY)
        reading_on = asyncio.create_task(read_on(upstream_api, seen[0].data["id"]))
        pieces.put_nowait(" two")
        pieces.put_nowait(None)
        seen += [event async for event in events]

    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "chat_busy")
    assert texts(seen) == ["One", " two", ""]
    assert await reading_on == seen
    assert fetch(database_url, ANSWERS) == [("One two", "complete")]


async def test_when_all_processes_seem_dead_none_gives_up_the_answers_of_another(
    upstream_api: httpx2.AsyncClient,
    other_api: httpx2.AsyncClient,
    database_url: str,
    pieces: Pieces,
    instead: dict[str, Instead],
) -> None:
    path = await ask(upstream_api)
    pieces.put_nowait("One")
    async with open_stream(upstream_api, path, json=BODY) as events:
        seen = [await anext(events), await anext(events)]
        instead["_be_alive"] = be_away
        execute(database_url, HAVE_LONG_BEEN_ALIVE)
        execute(database_url, SEEM_DEAD)
        refused = await other_api.post(path, json=BODY)
        async with open_stream(other_api, f"/v1/messages/{seen[0].data['id']}/stream") as there:
            seen_there = [await anext(there), await anext(there)]
            pieces.put_nowait(" two")
            pieces.put_nowait(None)
            seen_there += [event async for event in there]
        seen += [event async for event in events]

    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "chat_busy")
    assert texts(seen) == ["One", " two", ""]
    assert seen_there == seen


class PausedQueries:
    """Statements, of which that one waits which stores an answer until somebody waits for it."""

    def __init__(self, queries: Queries, database_url: str, has_come: threading.Event) -> None:
        self._queries = queries
        self._url = database_url
        self._has_come = has_come

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queries, name)

    def insert_answer(self, **values: Any) -> Any:
        self._has_come.set()
        waiting = (
            "SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        until = time.monotonic() + 10
        while not fetch(self._url, waiting):
            assert time.monotonic() < until, "nobody waits"
            time.sleep(0.01)
        return self._queries.insert_answer(**values)


@pytest.mark.parametrize("what", ["chat", "account"])
async def test_what_is_deleted_while_an_answer_in_it_is_given_up_is_gone(
    database: Database, conversations: Conversations, what: str
) -> None:
    [(owner,)] = fetch(
        database.url, "INSERT INTO account (email) VALUES ('a@example.org') RETURNING id::text"
    )
    [(witness,)] = fetch(
        database.url,
        "INSERT INTO process VALUES"
        " (gen_random_uuid(), now() - interval '1 minute', now() + interval '1 minute')"
        " RETURNING id::text",
    )
    chat = conversations.begin(account_id=UUID(owner))
    chat.ask()
    answer_id = chat.generate(alive_sec=DEAD_SEC)
    execute(
        database.url,
        f"INSERT INTO generation_event VALUES ('{answer_id}', 1, "
        """'[["message", "{\\"content\\": \\"One\\"}"]]')""",
    )
    has_come = threading.Event()

    def give_up(queries: Queries) -> bool:
        paused = PausedQueries(queries, database.url, has_come)
        return turns.give_up(paused, UUID(answer_id), UUID(witness))

    giving_up = asyncio.create_task(database.run(give_up))
    assert await asyncio.to_thread(has_come.wait, 10)
    async with asyncio.timeout(20):
        if what == "chat":
            await services.delete(database, replace(LOCAL, account_id=UUID(owner)), UUID(chat.id))
        else:
            await profile.delete(database, UUID(owner))

    assert await giving_up
    assert fetch(database.url, "SELECT FROM chat") == []
    assert fetch(database.url, "SELECT FROM generation") == []


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "answer"])
async def test_a_key_whose_answer_could_not_be_stored_can_be_sent_again(
    upstream_api: httpx2.AsyncClient,
    database_url: str,
    instead: dict[str, Instead],
    streamed: bool,
) -> None:
    path, body = await ask(upstream_api), BODY | {"stream": streamed}
    instead["_store"] = be_away
    failed = await upstream_api.post(path, json=body, headers=KEY)
    assert "post_processing_failed" in failed.text
    instead.clear()
    await none_is_open(database_url)

    again = await upstream_api.post(path, json=body, headers=KEY)

    assert again.status_code == 200
    assert "idempotent-replayed" not in again.headers
    assert len(fetch(database_url, ANSWERS)) == 1


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "answer"])
async def test_a_key_whose_answer_was_stored_although_nobody_was_told_repeats_it(
    upstream_api: httpx2.AsyncClient,
    database_url: str,
    upstream: Upstream,
    instead: dict[str, Instead],
    streamed: bool,
) -> None:
    path, body = await ask(upstream_api), BODY | {"stream": streamed}
    ended = asyncio.Event()

    async def end(call: Callable[[], Awaitable[Any]]) -> Any:
        result = await call()
        ended.set()
        return result

    instead["_store"] = lose_the_reply
    instead["abandon_turn"] = end
    failed = await upstream_api.post(path, json=body, headers=KEY)
    assert "post_processing_failed" in failed.text
    # What may not have ended is ended once more.
    async with asyncio.timeout(5):
        await ended.wait()
    instead.clear()

    again = await upstream_api.post(path, json=body, headers=KEY)

    assert again.status_code == 200
    assert again.headers["idempotent-replayed"] == "true"
    assert len(upstream.requests) == 1
    assert len(fetch(database_url, QUESTIONS)) == 1


async def test_a_key_is_sent_again_to_another_process_while_the_first_one_sleeps(
    upstream_api: httpx2.AsyncClient,
    other_api: httpx2.AsyncClient,
    database_url: str,
    upstream: Upstream,
    pieces: Pieces,
    instead: dict[str, Instead],
) -> None:
    path = await ask(upstream_api)
    asking = asyncio.create_task(upstream_api.post(path, json=BODY, headers=KEY))
    pieces.put_nowait("One")

    async def has_begun() -> bool:
        kept = "SELECT sum(jsonb_array_length(events)) FROM generation_event"
        return fetch(database_url, kept) == [(2,)]

    await eventually(has_begun)
    instead["_be_alive"] = be_away
    execute(database_url, HAVE_LONG_BEEN_ALIVE)
    execute(database_url, f"{SEEM_DEAD} WHERE id = (SELECT process_id FROM generation)")
    upstream.behave = upstream.answers("One two")

    told = parse_events((await other_api.post(path, json=BODY, headers=KEY)).text)
    again = parse_events((await other_api.post(path, json=BODY, headers=KEY)).text)
    pieces.put_nowait(" two")
    pieces.put_nowait(None)
    first = parse_events((await asking).text)

    assert (told[-1].name, told[-1].data["code"]) == ("error", "server_stopping")
    assert (again[-1].name, again[-1].data["status"]) == ("done", "complete")
    assert first[-1].name == "error"
    assert fetch(database_url, ANSWERS) == [("One", "failed"), ("One two", "complete")]
    last = parse_events((await upstream_api.post(path, json=BODY, headers=KEY)).text)
    assert last == again


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "answer"])
async def test_what_was_said_in_a_deleted_chat_is_kept_nowhere(
    upstream_api: httpx2.AsyncClient, database_url: str, upstream: Upstream, streamed: bool
) -> None:
    upstream.behave = upstream.answers("The secret is out. [1]")
    path = await ask(upstream_api)
    body = {"message": "Where is the secret?", "stream": streamed}
    selected = {"selected_text": "The secret is out."}
    answered = await upstream_api.post(path, json=body | selected, headers=KEY)
    assert answered.status_code == 200

    await upstream_api.delete(path.removesuffix("/messages"))

    kept = [
        f"SELECT FROM {table} WHERE {table}::text LIKE '%secret%'"
        for table in ("message", "chat", "generation", "generation_event", "idempotent_request")
    ]
    assert [fetch(database_url, query) for query in kept] == [[]] * len(kept)


async def test_who_tries_to_stop_the_answer_of_somebody_else_does_not(
    upstream_api: httpx2.AsyncClient, database_url: str, pieces: Pieces
) -> None:
    execute(database_url, "INSERT INTO account (email) VALUES ('b@example.org')")
    pieces.put_nowait("One")
    async with open_stream(upstream_api, await ask(upstream_api), json=BODY) as events:
        started = await anext(events)
        await next_event(events, "message")
        # As if it were theirs.
        execute(
            database_url,
            "UPDATE generation SET account_id ="
            " (SELECT id FROM account WHERE email = 'b@example.org')",
        )
        refused = await upstream_api.post(f"/v1/messages/{started.data['id']}/cancel")
        pieces.put_nowait(None)
        done = await next_event(events, "done")

    assert refused.status_code == 404
    assert done.data["status"] == "complete"
