"""A token that is revoked while an answer is streamed to it, and how its account comes back."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from app.accounts.sessions import Session
from app.core.database import Database
from settings import Settings
from tests.accounts.people import auth_required, bearer, join, log_in, new_token
from tests.chat.chats.asking import begin_chat, next_event, open_stream
from tests.support import eventually, fetch, open_client, parse_events
from tests.upstream import Pieces, Upstream

BODY = {"message": "Count!", "retrieval": False, "stream": True}
ANSWERS = "SELECT message, status FROM message WHERE role = 'assistant'"


@pytest.fixture
def secured(upstream_settings: Settings) -> Settings:
    return auth_required(upstream_settings)


@pytest.fixture
def session(database: Database, secured: Settings) -> Session:
    return log_in(database, secured, join(database, "ann@example.org"))


@pytest.fixture
def other_session(database: Database, secured: Settings) -> Session:
    return log_in(database, secured, join(database, "bob@example.org"))


@pytest.fixture
async def client(secured: Settings, embedder: object) -> AsyncIterator[httpx2.AsyncClient]:
    async with open_client(secured) as client:
        yield client


async def lose_the_token(client: httpx2.AsyncClient, session: Session, pieces: Pieces) -> str:
    """Read with an API token, which is revoked in the middle; return the answer's id."""
    token = await new_token(client, session, "ask")
    client.headers.update(bearer(token["token"]))
    pieces.put_nowait("One")
    path = f"/v1/chats/{await begin_chat(client)}/messages"
    async with open_stream(client, path, json=BODY) as events:
        started = await next_event(events, "started")
        await next_event(events, "message")
        await client.delete(f"/v1/tokens/{token['id']}", headers=bearer(session.token))
        async with asyncio.timeout(10):
            rest = [event async for event in events]
    assert [(event.name, event.data["code"]) for event in rest] == [("error", "unauthorized")]
    # It is no event of the answer's: whoever comes back must not begin behind it.
    assert rest[0].id is None
    answer_id: str = started.data["id"]
    refused = await client.get(f"/v1/messages/{answer_id}/stream")
    assert refused.status_code == 401
    del client.headers["Authorization"]
    return answer_id


async def test_another_token_of_the_account_leads_back_to_the_answer(
    client: httpx2.AsyncClient, session: Session, other_session: Session, pieces: Pieces
) -> None:
    answer_id = await lose_the_token(client, session, pieces)
    path = f"/v1/messages/{answer_id}/stream"

    foreign = await client.get(path, headers=bearer(other_session.token))
    client.headers.update(bearer(session.token))
    async with open_stream(client, path, after=2) as events:
        pieces.put_nowait(" two")
        assert (await anext(events)).data["content"] == " two"
        pieces.put_nowait(None)
        assert (await next_event(events, "done")).data["status"] == "complete"

    assert foreign.status_code == 404


async def test_nobody_of_another_account_stops_it(
    client: httpx2.AsyncClient,
    session: Session,
    other_session: Session,
    pieces: Pieces,
    database_url: str,
) -> None:
    answer_id = await lose_the_token(client, session, pieces)
    path = f"/v1/messages/{answer_id}"

    foreign = await client.post(f"{path}/cancel", headers=bearer(other_session.token))
    unknown = await client.post(
        "/v1/messages/0199f0a2-7a3e-7c1e-9d2b-0f6a3c5b8d11/cancel",
        headers=bearer(other_session.token),
    )

    assert foreign.status_code == unknown.status_code == 404
    assert foreign.json()["detail"] == unknown.json()["detail"]
    assert fetch(database_url, "SELECT cancel_requested, ended_at FROM generation") == [
        (False, None)
    ]
    stopped = await client.post(f"{path}/cancel", headers=bearer(session.token))
    assert (stopped.json()["status"], stopped.json()["message"]) == ("cancelled", "One")


async def test_when_nobody_comes_back_the_answer_ends(
    secured: Settings,
    session: Session,
    upstream: Upstream,
    pieces: Pieces,
    embedder: object,
    database_url: str,
) -> None:
    impatient = secured.model_copy(update={"stream_resume_sec": 0.5})
    async with open_client(impatient) as client:
        answer_id = await lose_the_token(client, session, pieces)
        async with asyncio.timeout(5):
            await upstream.stream_ended.wait()

        async def kept() -> bool:
            return fetch(database_url, ANSWERS) == [("One", "cancelled")]

        await eventually(kept)
        read = await client.get(f"/v1/messages/{answer_id}/stream", headers=bearer(session.token))

    assert parse_events(read.text)[-1].data["status"] == "cancelled"


async def test_the_account_of_a_deleted_person_takes_its_answers_with_it(
    client: httpx2.AsyncClient,
    session: Session,
    upstream: Upstream,
    pieces: Pieces,
    database_url: str,
) -> None:
    client.headers.update(bearer(session.token))
    pieces.put_nowait("One")
    path = f"/v1/chats/{await begin_chat(client)}/messages"
    async with open_stream(client, path, json=BODY) as events:
        await next_event(events, "message")
        assert (await client.delete("/v1/me")).is_success
        async with asyncio.timeout(10):
            rest = [event async for event in events]

    assert rest[-1].name == "error"
    async with asyncio.timeout(5):
        await upstream.stream_ended.wait()
    for table in ("chat", "generation", "generation_event"):
        assert fetch(database_url, f"SELECT * FROM {table}") == []
    assert fetch(database_url, ANSWERS) == []
