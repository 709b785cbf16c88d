"""`session_id`: conversations by the names that their clients give them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from anyio import to_thread

from app.core.database import Database
from app.knowledge.embedding import Embedder
from settings import Settings
from tests.accounts.people import auth_required, bearer, join, log_in, new_token
from tests.chat.asking import until_found
from tests.compat.asking import LAKES, answers, post, spoken
from tests.conftest import Ingest
from tests.runs import open_runs
from tests.support import eventually, fetch, open_client
from tests.upstream import Upstream

FIRST = "How deep is Lake Baikal?"
NEXT = "Is Lake Baikal cold?"
TEXT = LAKES["lakes.md"]


@pytest.fixture
async def lakes_api(ingest: Ingest, upstream_api: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A server that knows of lakes, and has the test's own language model."""
    await ingest(dict(LAKES))
    await until_found(upstream_api, *LAKES)
    return upstream_api


def said_in(chat_id: str, database_url: str) -> list[tuple[str, str]]:
    """Return what is stored of a chat, oldest first."""
    return fetch(
        database_url,
        f"SELECT role, message FROM message WHERE chat_id = '{chat_id}' ORDER BY created_at, id",
    )


async def test_the_next_message_is_answered_with_what_was_said_before(
    lakes_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = answers(upstream, "1642 metres. [1]", standalone=NEXT)
    first = await post(lakes_api, "/chat", {"message": FIRST, "session_id": "tab 1"})
    upstream.behave = answers(upstream, "Yes. [1]", standalone=NEXT)
    second = await post(lakes_api, "/chat_conversation", {"message": NEXT, "session_id": "tab 1"})

    assert spoken(upstream.requests[-1])[:2] == [FIRST, "1642 metres."]
    assert spoken(upstream.requests[-1])[2].endswith(NEXT)
    assert second["response"] == "Yes. [1]"
    assert first["session_id"] == second["session_id"] == "tab 1"
    assert first["chat_id"] == second["chat_id"]


async def test_offline_a_follow_up_is_understood_too(
    ingest: Ingest, api: httpx2.AsyncClient
) -> None:
    await ingest(
        {
            "workflows.md": "# Workflows\n\n## Create\n\n"
            "Run `flow create` to create a workflow.\n\n## Delete\n\n"
            "Run `flow delete` to delete a workflow.\n",
            "users.md": "# Users\n\n## Delete\n\nRun `user drop` to delete a user.\n",
        }
    )
    await until_found(api, "workflows.md", "users.md")

    for message, words in (
        ("How do I create a workflow?", "flow create"),
        ("And how do I delete one?", "flow delete"),
    ):
        answer = await post(api, "/chat_conversation", {"message": message, "session_id": "s"})
        assert words in answer["response"]


async def test_a_session_is_a_chat(lakes_api: httpx2.AsyncClient, database_url: str) -> None:
    answer = await post(lakes_api, "/chat", {"message": FIRST, "session_id": "tab 1"})

    [chat] = (await lakes_api.get("/v1/chats")).json()
    assert chat["id"] == answer["chat_id"]
    assert chat["title"] == FIRST
    assert said_in(chat["id"], database_url) == [("user", FIRST), ("assistant", answer["response"])]


async def test_sessions_know_nothing_of_each_other(
    lakes_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    first = await post(lakes_api, "/chat", {"message": FIRST, "session_id": "tab 1"})
    second = await post(lakes_api, "/chat", {"message": NEXT, "session_id": "Tab 1"})

    assert first["chat_id"] != second["chat_id"]
    assert len(spoken(upstream.requests[-1])) == 1


async def test_without_a_session_nothing_was_said_before(
    lakes_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    for message in (FIRST, NEXT):
        await post(lakes_api, "/chat_conversation", {"message": message})

    assert len(spoken(upstream.requests[-1])) == 1
    assert (await lakes_api.get("/v1/chats")).json() == []


async def test_a_deleted_session_begins_anew(
    lakes_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    body = {"message": FIRST, "session_id": "s"}
    first = await post(lakes_api, "/chat", body)
    assert (await lakes_api.delete(f"/v1/chats/{first['chat_id']}")).status_code == 204

    second = await post(lakes_api, "/chat", body)

    assert second["chat_id"] != first["chat_id"]
    assert len(spoken(upstream.requests[-1])) == 1


async def test_while_a_message_is_answered_the_next_is_refused(
    lakes_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    upstream.behave = upstream.types(pieces)
    body = {"message": FIRST, "session_id": "s"}
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(post(lakes_api, "/chat", body))

        async def is_being_answered() -> bool:
            return bool(upstream.requests)

        await eventually(is_being_answered)
        refused = await lakes_api.post("/api/v1/chat_conversation", json=body)
        pieces.put_nowait("1642 metres. [1]")
        pieces.put_nowait(None)

    assert first.result()["response"] == "1642 metres. [1]"
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "chat_busy"
    assert "wait for its answer" in refused.json()["detail"]
    upstream.behave = answers(upstream, "Well. [1]", standalone=FIRST)
    assert (await post(lakes_api, "/chat", body))["response"] == "Well. [1]"


async def test_two_that_begin_a_session_at_once_begin_one(
    upstream_settings: Settings, upstream: Upstream, embedder: Embedder, database_url: str
) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    upstream.behave = upstream.types(pieces)
    body = {"message": NEXT, "selected_text": TEXT, "session_id": "s"}
    async with open_client(upstream_settings) as one, open_client(upstream_settings) as other:
        asking = [
            asyncio.create_task(client.post("/api/v1/chat", json=body))
            for client in (one, other, one, other, one, other)
        ]

        async def all_but_one_refused() -> bool:
            return sum(task.done() for task in asking) == len(asking) - 1

        await eventually(all_but_one_refused)
        pieces.put_nowait("Yes. [1]")
        pieces.put_nowait(None)
        statuses = sorted([(await task).status_code for task in asking])

    assert statuses == [200, 409, 409, 409, 409, 409]
    assert fetch(database_url, "SELECT session_id FROM chat") == [("s",)]


def test_a_session_that_another_request_is_beginning_is_waited_for(database: Database) -> None:
    """Found however the two meet: the second can't see yet what the first has begun."""
    account_id = join(database, "ann@example.org")
    names = {"account_id": account_id, "session_id": "s"}

    async def both() -> list[object]:
        began, may_end = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow(queries: object) -> object:
            chat_id = queries.open_session(**names)  # type: ignore[attr-defined]
            loop.call_soon_threadsafe(began.set)
            asyncio.run_coroutine_threadsafe(may_end.wait(), loop).result(10)
            return chat_id

        first = asyncio.create_task(database.run(slow))
        await began.wait()
        second = asyncio.create_task(
            database.run_statement(lambda queries: queries.open_session(**names))
        )

        async def is_waiting() -> bool:
            return bool(
                fetch(
                    database.url,
                    "SELECT FROM pg_stat_activity WHERE datname = current_database()"
                    " AND wait_event_type = 'Lock'",
                )
            )

        await eventually(is_waiting)
        may_end.set()
        return [await first, await second]

    first, second = asyncio.run(both())

    assert first == second
    assert fetch(database.url, "SELECT count(*) FROM chat") == [(1,)]


@dataclass
class TwoPeople:
    """Two who have logged in, where everybody has to, by the headers that they send."""

    client: httpx2.AsyncClient
    ann: dict[str, str]
    bob: dict[str, str]
    ann_id: UUID


@pytest.fixture
async def people(
    upstream_settings: Settings, database: Database, embedder: Embedder
) -> AsyncIterator[TwoPeople]:
    secured = auth_required(upstream_settings)
    ids = [join(database, f"{name}@example.org") for name in ("ann", "bob")]
    ann, bob = (bearer(log_in(database, secured, account_id).token) for account_id in ids)
    async with open_client(secured) as client:
        yield TwoPeople(client, ann, bob, ids[0])


async def test_a_name_means_to_each_account_its_own_session(
    people: TwoPeople, upstream: Upstream
) -> None:
    async def say(message: str, who: dict[str, str]) -> dict[str, Any]:
        body = {"message": message, "selected_text": TEXT, "session_id": "s"}
        return await post(people.client, "/chat", body, who)

    of_ann = await say("My cat is called Zanzibar. Is Lake Baikal cold?", people.ann)
    of_bob = await say(NEXT, people.bob)
    told_for_bob = spoken(upstream.requests[-1])
    await say(NEXT, people.ann)
    told_for_ann = spoken(upstream.requests[-1])
    bobs_chats = (await people.client.get("/v1/chats", headers=people.bob)).json()
    anns_chat = await people.client.get(f"/v1/chats/{of_ann['chat_id']}", headers=people.bob)

    assert of_ann["chat_id"] != of_bob["chat_id"]
    assert len(told_for_bob) == 1
    assert "Zanzibar" not in told_for_bob[0]
    assert "Zanzibar" in told_for_ann[0]
    assert [chat["id"] for chat in bobs_chats] == [of_bob["chat_id"]]
    assert anns_chat.status_code == 404


async def test_private_documents_stay_their_owners(
    people: TwoPeople,
    database: Database,
    embedder: Embedder,
    settings: Settings,
    tmp_path: Path,
) -> None:
    with open_runs(database, embedder, settings, tmp_path / "ann", people.ann_id) as runs:
        await to_thread.run_sync(runs.run, LAKES)

    async def answered() -> bool:
        answer = await post(people.client, "/answer", {"question": FIRST}, people.ann)
        return bool(answer["sources"])

    await eventually(answered, within=30)
    for path, body in (
        ("/answer", {"question": FIRST}),
        ("/chat", {"message": FIRST}),
        ("/chat_conversation", {"message": FIRST, "session_id": "s"}),
    ):
        assert (await post(people.client, path, body, people.bob))["sources"] == []
        assert (await post(people.client, path, body, people.ann))["sources"] != []


async def test_a_token_needs_the_scope_to_ask(settings: Settings, database: Database) -> None:
    secured = auth_required(settings)
    session = log_in(database, secured, join(database, "ann@example.org"))
    bodies = {
        "answer": {"question": FIRST},
        "chat": {"message": FIRST, "session_id": "s"},
        "chat_conversation": {"message": FIRST, "session_id": "s"},
        "chat_with_selection": {"query": FIRST, "document_content": TEXT},
    }
    async with open_client(secured) as client:
        token = (await new_token(client, session, "read"))["token"]
        for path, body in bodies.items():
            for headers, status in (({}, 401), (bearer(token), 403), (bearer(session.token), 200)):
                response = await client.post(f"/api/v1/{path}", json=body, headers=headers)
                assert response.status_code == status, (path, response.text)


async def test_these_routes_are_limited_as_all_others_are(
    settings: Settings, embedder: Embedder
) -> None:
    limited = settings.model_copy(update={"requests_per_minute": 2})
    body = {"message": "Hello?", "session_id": "s"}
    async with open_client(limited) as client:
        responses = [await client.post("/api/v1/chat", json=body) for _ in range(3)]

    assert [response.status_code for response in responses] == [200, 200, 429]
    assert int(responses[-1].headers["retry-after"]) > 0
