"""A stream ends when the token that it was begun with is valid no more."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from app.accounts import token_watch
from app.accounts.sessions import Session
from app.accounts.token_watch import TokenWatch
from app.core.database import Database
from app.core.embedded_postgres import EmbeddedPostgres
from app.core.exceptions import Unauthorized
from settings import Settings
from tests.accounts.people import bearer, join, log_in, new_token
from tests.accounts.test_profile import own_something
from tests.conftest import TEMPLATE
from tests.support import Event, execute, fetch, open_client, parse_events

Revoke = Callable[[httpx2.AsyncClient, Session, str], Any]


@asynccontextmanager
async def following(
    client: httpx2.AsyncClient, run: UUID, token: str
) -> AsyncIterator[AsyncIterator[str]]:
    """Follow a run that never ends; its first event has come."""
    headers = bearer(token)
    async with client.stream("GET", f"/v1/ingestions/{run}/events", headers=headers) as response:
        assert response.status_code == 200
        chunks = response.aiter_text()
        assert (await anext(chunks)).startswith("event: progress\n")
        yield chunks


async def rest(chunks: AsyncIterator[str]) -> list[Event]:
    """Return what comes until the stream ends."""
    async with asyncio.timeout(20):
        return parse_events("".join([chunk async for chunk in chunks]))


async def revoke_it(client: httpx2.AsyncClient, session: Session, token_id: str) -> None:
    await client.delete(f"/v1/tokens/{token_id}", headers=bearer(session.token))


async def delete_the_account(client: httpx2.AsyncClient, session: Session, _: str) -> None:
    # As it looks to a stream that reads nothing of the account's.
    await client.delete("/v1/me", headers=bearer(session.token))


@pytest.mark.parametrize("revoke", [revoke_it, delete_the_account])
async def test_a_stream_ends_when_its_token_is_revoked(
    people_api: httpx2.AsyncClient, database: Database, session: Session, revoke: Revoke
) -> None:
    # Somebody else's, so that the run is there whatever becomes of the account.
    source, run, _ = own_something(database.url, join(database, "bob@example.org"))
    execute(database.url, f"UPDATE source SET visibility = 'shared' WHERE id = '{source}'")
    token = await new_token(people_api, session, "read")

    async with following(people_api, run, token["token"]) as chunks:
        await revoke(people_api, session, token["id"])
        (error,) = await rest(chunks)

    assert error.name == "error"
    refused = await people_api.get("/v1/me", headers=bearer(token["token"]))
    expected = refused.json()["error"]
    assert (error.data["code"], error.data["message"]) == ("unauthorized", expected["message"])
    assert expected["code"] == "unauthorized"


async def test_a_stream_ends_when_its_token_expires(
    people_api: httpx2.AsyncClient, database: Database, ann: UUID, session: Session
) -> None:
    _, run, _ = own_something(database.url, ann)

    async with following(people_api, run, session.token) as chunks:
        execute(database.url, "UPDATE access_token SET expires_at = now()")
        (error,) = await rest(chunks)

    assert error.data["code"] == "unauthorized"


async def test_streams_of_other_tokens_go_on(
    people_api: httpx2.AsyncClient,
    database: Database,
    secured: Settings,
    ann: UUID,
    session: Session,
) -> None:
    _, run, _ = own_something(database.url, ann)
    other = log_in(database, secured, ann)

    async with (
        following(people_api, run, session.token) as ended,
        following(people_api, run, other.token) as going_on,
    ):
        await people_api.post("/v1/logout", headers=bearer(session.token))
        (error,) = await rest(ended)
        await people_api.post(f"/v1/ingestions/{run}/cancel", headers=bearer(other.token))
        events = await rest(going_on)

    assert error.data["code"] == "unauthorized"
    assert [event.name for event in events] == ["log", "progress", "done"]


async def test_without_auth_a_stream_has_no_token_that_could_be_revoked(
    settings: Settings, database: Database
) -> None:
    [(local,)] = fetch(database.url, "SELECT CAST(id AS text) FROM account")
    _, run, _ = own_something(database.url, UUID(local))

    async with open_client(settings) as client, following(client, run, "none") as chunks:
        await client.post(f"/v1/ingestions/{run}/cancel")
        events = await rest(chunks)

    assert [event.name for event in events] == ["log", "progress", "done"]


class CountedDatabase(Database):
    """A database that tells when a statement has been tried."""

    def __init__(self, url: str) -> None:
        super().__init__(url, pool_size=1)
        self.tried: asyncio.Queue[None] = asyncio.Queue()

    async def run_statement(self, *args: Any, **kwargs: Any) -> Any:
        """Run it, and tell."""
        try:
            return await super().run_statement(*args, **kwargs)
        finally:
            self.tried.put_nowait(None)


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks every moment."""
    monkeypatch.setattr(token_watch, "INTERVAL_SEC", 0.01)


def tokens_of(database: Database, settings: Settings, account_id: UUID, number: int) -> list[UUID]:
    for _ in range(number):
        log_in(database, settings, account_id)
    rows = fetch(database.url, "SELECT CAST(id AS text) FROM access_token")
    return [UUID(token_id) for (token_id,) in rows]


@pytest.mark.usefixtures("_at_once")
async def test_one_statement_asks_for_all_tokens_and_none_when_no_stream_is_open(
    database_url: str, database: Database, secured: Settings, ann: UUID
) -> None:
    counted = CountedDatabase(database_url)
    watch = TokenWatch(counted)
    first, second = tokens_of(database, secured, ann, 2)

    def looking() -> set[asyncio.Task[Any]]:
        return asyncio.all_tasks() - {asyncio.current_task()}

    with watch.watch(None):
        assert looking() == set()
    with watch.watch(first) as one, watch.watch(first) as same, watch.watch(second) as other:
        await counted.tried.get()
        assert len(looking()) == 1
        execute(database_url, f"DELETE FROM access_token WHERE id = '{first}'")
        async with asyncio.timeout(10):
            errors = [await one, await same]
        # One may have been under way; the next would tell.
        for _ in range(counted.tried.qsize() + 2):
            await counted.tried.get()
        assert not other.done()
        last = looking()
    await asyncio.wait(last)
    counted.close()

    assert [type(error) for error in errors] == [Unauthorized, Unauthorized]
    assert looking() == set()


@pytest.mark.usefixtures("_at_once")
async def test_while_postgresql_cannot_be_asked_streams_go_on(
    postgres: EmbeddedPostgres,
) -> None:
    name = f"test_{uuid4().hex}"
    counted = CountedDatabase(postgres.url(name))

    with TokenWatch(counted).watch(uuid4()) as until:
        async with asyncio.timeout(20):
            await counted.tried.get()
            await counted.tried.get()
            assert not until.done()
            execute(postgres.url("postgres"), f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
            # Nobody's token, as it turns out.
            assert isinstance(await until, Unauthorized)

    counted.close()
    execute(postgres.url("postgres"), f"DROP DATABASE {name} WITH (FORCE)")
