"""Whose chats these are: what several accounts see of each other's."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from app.accounts import profile
from app.accounts.models import LOCAL, Caller, Scope
from app.core.database import Database
from settings import Settings
from tests.chat.chats.conversations import Conversation, Conversations
from tests.knowledge.people import People, open_people
from tests.support import fetch


@pytest.fixture
async def people(settings: Settings, embedder: object, database_url: str) -> AsyncIterator[People]:
    async with open_people(settings, database_url) as people:
        yield people


@pytest.fixture
def of_ann(people: People, conversations: Conversations) -> Conversation:
    """Ann's chat about the harbour."""
    chat = conversations.begin("The harbour", account_id=people.ann.account_id)
    chat.talk(1)
    return chat


@pytest.fixture
def of_bob(people: People, conversations: Conversations) -> Conversation:
    chat = conversations.begin("The station", account_id=people.bob.account_id)
    chat.talk(1)
    return chat


async def test_everybody_lists_and_finds_only_their_own(
    people: People, of_ann: Conversation, of_bob: Conversation
) -> None:
    for caller, ids in (
        (people.ann, [of_ann.id]),
        (people.bob, [of_bob.id]),
        (people.admin, []),
        (LOCAL, []),
    ):
        for path in ("/v1/chats", "/v1/chats?search=question", "/v1/chats?search=the"):
            assert [chat["id"] for chat in await people.get(caller, path)] == ids
    assert await people.get(people.bob, "/v1/chats?search=harbour") == []


async def test_a_chat_belongs_to_who_began_it(people: People) -> None:
    response = await people.send(people.ann, "POST", "/v1/chats", title="Mine")

    assert [chat["id"] for chat in await people.get(people.ann, "/v1/chats")] == [
        response.json()["id"]
    ]


async def test_what_is_anothers_is_as_unknown_as_what_nobody_has(
    people: People, of_ann: Conversation, of_bob: Conversation, database_url: str
) -> None:
    def stored() -> list[Any]:
        return fetch(database_url, "SELECT * FROM chat, message ORDER BY chat.id, message.id")

    before = stored()
    routes: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/v1/chats/{chat}", {}),
        ("PATCH", "/v1/chats/{chat}", {"title": "Bob's"}),
        ("PATCH", "/v1/chats/{chat}", {"head_id": of_bob.head}),
        ("DELETE", "/v1/chats/{chat}", {}),
        ("GET", "/v1/chats/{chat}/messages", {}),
        ("GET", "/v1/chats/{chat}/messages?leaf_id={message}", {}),
        ("GET", f"/v1/chats/{of_bob.id}/messages?leaf_id={{message}}", {}),
        ("GET", "/v1/messages/{message}", {}),
    ]
    for caller in (people.bob, people.admin, LOCAL):
        for method, path, body in routes:
            foreign, unknown = [
                await people.send(caller, method, path.format(**ids), **body)
                for ids in (
                    {"chat": of_ann.id, "message": of_ann.head},
                    {"chat": uuid4(), "message": uuid4()},
                )
            ]

            assert foreign.status_code == unknown.status_code == 404, (method, path)
            assert foreign.json()["detail"] == unknown.json()["detail"]
    assert stored() == before


async def test_a_message_of_somebody_else_is_no_head(
    people: People, of_ann: Conversation, of_bob: Conversation
) -> None:
    response = await people.send(people.bob, "PATCH", of_bob.path, head_id=of_ann.head)

    assert response.status_code == 404
    assert response.json()["detail"] == "There is no such message in this chat."


async def test_a_cursor_of_somebody_else_leads_to_nothing_of_theirs(
    people: People, of_ann: Conversation, of_bob: Conversation
) -> None:
    theirs = await people.send(people.ann, "GET", f"{of_ann.path}/messages?limit=1")
    cursor = theirs.links["next"]["url"].partition("?")[2]

    response = await people.send(people.bob, "GET", f"{of_bob.path}/messages?{cursor}")

    assert response.status_code == 422
    assert "Link header" in response.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/chats", Scope.READ),
        ("GET", "{path}", Scope.READ),
        ("GET", "{path}/messages", Scope.READ),
        ("GET", "/v1/messages/{head}", Scope.READ),
        ("POST", "/v1/chats", Scope.ASK),
        ("PATCH", "{path}", Scope.ASK),
        ("DELETE", "{path}", Scope.ASK),
    ],
)
async def test_a_token_needs_the_scope(
    people: People, of_ann: Conversation, method: str, path: str, scope: Scope
) -> None:
    every = frozenset(Scope)
    able = Caller(people.ann.account_id, is_admin=False, scopes=frozenset({scope}))
    unable = Caller(people.ann.account_id, is_admin=False, scopes=every - {scope})
    path = path.format(path=of_ann.path, head=of_ann.head)
    body = {"title": "New"} if method in ("POST", "PATCH") else {}

    refused = await people.send(unable, method, path, **body)
    unchanged = await people.get(people.ann, "/v1/chats")
    allowed = await people.send(able, method, path, **body)

    assert refused.status_code == 403
    assert scope in refused.json()["detail"]
    assert [chat["title"] for chat in unchanged] == ["The harbour"]
    assert allowed.is_success


async def test_an_account_that_is_deleted_leaves_no_chat(
    people: People, of_ann: Conversation, of_bob: Conversation, database: Database
) -> None:
    deleted = await profile.delete(database, people.ann.account_id)

    assert deleted.messages == 2
    assert fetch(database.url, "SELECT CAST(id AS text) FROM chat") == [(of_bob.id,)]
    assert fetch(database.url, "SELECT count(*) FROM message") == [(2,)]
