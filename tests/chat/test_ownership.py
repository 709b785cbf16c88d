"""Whose messages these are: what several accounts see of each other's questions and answers."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI

from app.accounts.models import LOCAL, Caller, Scope
from app.chat.constants import NO_DOCUMENTS_FOUND
from app.main import create_app
from settings import Settings
from tests.accounts.callers import add_account, as_account
from tests.chat.asking import until_found
from tests.conftest import Ingest
from tests.serving import serve
from tests.support import eventually, execute, fetch
from tests.upstream import Upstream

QUESTION = "How do I start the service?"
GUIDE = "# Guide\n\nTo start the service, run `make run-dev` in the folder.\n"
SELECTED = {"selected_text": GUIDE}
ASKING: list[tuple[str, dict[str, str]]] = [
    ("/v1/completion", {}),
    ("/v1/completion-stream", {}),
    ("/v1/qa-create", SELECTED),
    ("/v1/qa-stream", SELECTED),
    ("/v1/qa-create", {}),
    ("/v1/qa-stream", {}),
]
ABOUT_ONE = [("GET", "trace"), ("POST", "replay")]


class People:
    """Ann, Bob and an admin, who send requests to one server."""

    def __init__(self, app: FastAPI, client: httpx2.AsyncClient, database_url: str) -> None:
        self._app = app
        self.client = client
        self.ann = add_account(database_url, "ann@example.com")
        self.bob = add_account(database_url, "bob@example.com")
        self.admin = add_account(database_url, "admin@example.com", is_admin=True)

    async def send(self, caller: Caller, method: str, path: str, **request: Any) -> httpx2.Response:
        with as_account(self._app, caller):
            return await self.client.request(method, path, **request)

    async def ask(
        self, caller: Caller, path: str = "/v1/qa-create", **fields: str
    ) -> httpx2.Response:
        body = {"message": QUESTION, **fields}
        response = await self.send(caller, "POST", path, json=body)
        assert response.status_code == 200, response.text
        return response

    async def messages(self, caller: Caller, url: str = "/v1/messages") -> list[dict[str, Any]]:
        response = await self.send(caller, "GET", url)
        assert response.status_code == 200, response.text
        messages: list[dict[str, Any]] = response.json()
        return messages


@pytest.fixture
async def people(
    upstream_settings: Settings, embedder: object, database_url: str
) -> AsyncIterator[People]:
    app = create_app(upstream_settings)
    async with (
        serve(app) as url,
        httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as client,
    ):
        yield People(app, client, database_url)


@pytest.fixture
async def guided(people: People, ingest: Ingest) -> People:
    """The same, and a guide that belongs to the local account alone."""
    await ingest({"guide.md": GUIDE})
    await until_found(people.client, "guide.md")
    return people


def hand_over(database_url: str, owner: Caller, visibility: str) -> None:
    execute(
        database_url,
        f"UPDATE source SET account_id = '{owner.account_id}', visibility = '{visibility}'",
    )


def without_request_id(response: httpx2.Response) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    del body["error"]["request_id"]
    return body


@pytest.mark.parametrize(("path", "fields"), ASKING)
async def test_questions_and_answers_belong_to_who_asked(
    people: People, database_url: str, path: str, fields: dict[str, str]
) -> None:
    await people.ask(people.ann, path, **fields)

    owners = fetch(database_url, "SELECT CAST(account_id AS text), role FROM message ORDER BY role")
    ann = str(people.ann.account_id)
    assert owners == [(ann, "assistant"), (ann, "user")]


async def test_everybody_lists_only_their_own_messages(people: People) -> None:
    await people.ask(people.ann, "/v1/completion")
    await people.ask(people.bob, "/v1/completion-stream")
    await people.ask(people.bob)

    lists = {
        caller.account_id: {message["id"] for message in await people.messages(caller)}
        for caller in (people.ann, people.bob, people.admin, LOCAL)
    }

    assert [len(ids) for ids in lists.values()] == [2, 4, 0, 0]
    assert not lists[people.ann.account_id] & lists[people.bob.account_id]


async def test_pages_hold_only_ones_own_messages_whosever_the_cursor_is(people: People) -> None:
    for caller in (people.ann, people.bob, people.ann, people.bob):
        await people.ask(caller, "/v1/completion")
    everything = await people.messages(people.bob)

    first = await people.send(people.bob, "GET", "/v1/messages?limit=3")
    following = await people.messages(people.bob, first.links["next"]["url"])
    of_ann = await people.send(people.ann, "GET", "/v1/messages?limit=1")
    behind_ann = await people.messages(people.bob, of_ann.links["next"]["url"])

    assert first.json() + following == everything
    assert len(everything) == 4
    assert behind_ann == everything[2:3]


@pytest.mark.parametrize(("method", "what"), ABOUT_ONE)
async def test_an_answer_of_somebody_else_is_as_unknown_as_none(
    people: People, upstream: Upstream, database_url: str, method: str, what: str
) -> None:
    answer = (await people.ask(people.ann, "/v1/completion")).json()
    asked, stored = len(upstream.requests), fetch(database_url, "SELECT id FROM message")

    for caller in (people.bob, people.admin, LOCAL):
        foreign = await people.send(caller, method, f"/v1/messages/{answer['id']}/{what}")
        unknown = await people.send(caller, method, f"/v1/messages/{uuid4()}/{what}")

        assert foreign.status_code == unknown.status_code == 404
        assert without_request_id(foreign) == without_request_id(unknown)
    assert len(upstream.requests) == asked
    assert fetch(database_url, "SELECT id FROM message") == stored


async def test_a_replay_belongs_to_who_asked_for_it(people: People) -> None:
    answer = (await people.ask(people.ann, "/v1/completion")).json()

    replay = await people.send(people.ann, "POST", f"/v1/messages/{answer['id']}/replay")
    again = replay.json()["answer"]["id"]
    trace = await people.send(people.ann, "GET", f"/v1/messages/{again}/trace")

    assert trace.json()["replay_of"] == answer["id"]
    newest, *_ = await people.messages(people.ann)
    assert newest["id"] == again
    assert await people.messages(people.bob) == []


async def test_answers_come_from_documents_that_the_asker_may_read(
    guided: People, database_url: str, upstream: Upstream
) -> None:
    hidden = (await guided.ask(guided.ann)).json()
    streamed = (await guided.ask(guided.ann, "/v1/qa-stream")).text
    asked = len(upstream.requests)
    execute(database_url, "UPDATE source SET visibility = 'shared'")

    async def is_found() -> bool:
        return bool((await guided.ask(guided.ann)).json()["sources"])

    assert (hidden["sources"], hidden["message"]) == ([], NO_DOCUMENTS_FOUND)
    assert NO_DOCUMENTS_FOUND in streamed
    assert "run-dev" not in streamed
    assert asked == 0
    await eventually(is_found, within=30)


async def test_quotes_of_a_document_that_is_hidden_while_it_is_quoted_are_not_shown(
    guided: People, database_url: str, upstream: Upstream
) -> None:
    behave = upstream.answers("To start the service, run `make run-dev`. [1]")

    async def hide_first(body: dict[str, Any]) -> Any:
        hand_over(database_url, guided.bob, "private")
        return await behave(body)

    upstream.behave = hide_first
    answer = (await guided.ask(LOCAL)).json()

    [citation] = answer["citations"]
    assert (citation["verified"], citation["quote"]) == (False, None)


async def test_passages_that_are_hidden_since_are_as_gone(
    guided: People, database_url: str, upstream: Upstream
) -> None:
    answer = (await guided.ask(LOCAL)).json()
    hand_over(database_url, guided.bob, "private")
    asked = len(upstream.requests)

    trace = await guided.send(LOCAL, "GET", f"/v1/messages/{answer['id']}/trace")
    replay = await guided.send(LOCAL, "POST", f"/v1/messages/{answer['id']}/replay")

    assert [passage["text"] for passage in trace.json()["passages"]] == [None]
    assert replay.status_code == 409
    assert replay.json()["error"]["code"] == "passages_gone"
    assert replay.json()["error"]["details"] == {"passages": [1]}
    assert len(upstream.requests) == asked


async def test_passages_that_somebody_shares_are_read_and_quoted(
    guided: People, database_url: str, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("To start the service, run `make run-dev`. [1]")
    answer = (await guided.ask(LOCAL)).json()
    hand_over(database_url, guided.bob, "shared")

    trace = await guided.send(LOCAL, "GET", f"/v1/messages/{answer['id']}/trace")
    replay = await guided.send(LOCAL, "POST", f"/v1/messages/{answer['id']}/replay")

    [passage], [source] = trace.json()["passages"], answer["sources"]
    assert passage["text"] == source["text"]
    assert replay.json()["answer"]["citations"] == answer["citations"]
    assert answer["citations"][0]["quote"] is not None


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        *(("POST", path, Scope.ASK) for path in dict(ASKING)),
        ("POST", f"/v1/messages/{UUID(int=0)}/replay", Scope.ASK),
        ("GET", f"/v1/messages/{UUID(int=0)}/trace", Scope.READ),
        ("GET", "/v1/messages", Scope.READ),
    ],
)
async def test_a_token_needs_the_scope(
    people: People, database_url: str, method: str, path: str, scope: Scope
) -> None:
    every = frozenset(Scope)
    able = Caller(people.ann.account_id, is_admin=False, scopes=frozenset({scope}))
    unable = Caller(people.ann.account_id, is_admin=False, scopes=every - {scope})
    body = {"json": {"message": QUESTION}} if method == "POST" else {}

    refused = await people.send(unable, method, path, **body)
    stored = fetch(database_url, "SELECT FROM message")
    allowed = await people.send(able, method, path, **body)

    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "forbidden"
    assert scope in refused.json()["detail"]
    assert stored == []
    assert allowed.status_code in (200, 404)
