"""Requests of an account that is being deleted get a plain answer, and keep nobody waiting."""

import asyncio
import logging
from typing import Any
from uuid import UUID

import httpx2
import pytest

from app.accounts.sessions import Session
from app.core.database import Database
from app.resources import service
from settings import Settings
from tests.accounts.people import bearer, join, log_in
from tests.accounts.test_profile import own_something, transaction, waits_for_a_lock
from tests.support import eventually, fetch, open_client

ADDING: list[tuple[str, dict[str, Any]]] = [
    ("/v1/completion", {"message": "Hello?"}),
    ("/v1/completion-stream", {"message": "Hello?"}),
    ("/v1/qa-create", {"message": "Hello?"}),
    ("/v1/qa-stream", {"message": "Hello?"}),
    ("/v1/sources", {"config": {"kind": "github", "repository": "a/b"}}),
    ("/v1/documents", {"title": "A", "text": "A text."}),
    ("/v1/tokens", {"name": "a program", "scopes": ["read"]}),
]


@pytest.mark.parametrize(("path", "body"), ADDING)
async def test_what_is_added_to_an_account_that_has_just_gone_is_refused(
    people_api: httpx2.AsyncClient,
    database: Database,
    ann: UUID,
    session: Session,
    caplog: pytest.LogCaptureFixture,
    path: str,
    body: dict[str, Any],
) -> None:
    with transaction(database.url) as deletion:
        deletion.execute(f"SELECT FROM account WHERE id = '{ann}' FOR UPDATE")
        adding = asyncio.create_task(
            people_api.post(path, json=body, headers=bearer(session.token))
        )
        await waits_for_a_lock(database.url)
        deletion.execute(f"DELETE FROM account WHERE id = '{ann}'")
    response = await adding

    assert response.status_code == 401, response.text
    assert response.json()["error"]["code"] == "unauthorized"
    assert response.headers["www-authenticate"] == "Bearer"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_tokens_are_revoked_before_a_deletion_waits_for_anything(
    people_api: httpx2.AsyncClient, database: Database, ann: UUID, session: Session
) -> None:
    source, _, _ = own_something(database.url, ann)

    with transaction(database.url) as step:
        step.execute(f"SELECT FROM source WHERE id = '{source}' FOR UPDATE")
        deletion = asyncio.create_task(people_api.delete("/v1/me", headers=bearer(session.token)))
        await waits_for_a_lock(database.url)
        # More than there are connections: none of them waits with one.
        answers = await asyncio.gather(
            *(
                people_api.post(path, json=body, headers=bearer(session.token))
                for path, body in ADDING * 5
            )
        )
        assert not deletion.done()

    assert {answer.status_code for answer in answers} == {401}
    assert (await deletion).json() == {"sources": 1, "documents": 1, "messages": 2}


async def test_the_last_admin_who_may_not_leave_stays_logged_in(
    people_api: httpx2.AsyncClient, database: Database, secured: Settings
) -> None:
    session = log_in(database, secured, join(database, "root@example.org", role="admin"))

    refused = await people_api.delete("/v1/me", headers=bearer(session.token))
    still = await people_api.get("/v1/me", headers=bearer(session.token))

    assert (refused.status_code, still.status_code) == (409, 200)


async def test_a_request_waits_for_a_lock_for_some_seconds_only(
    secured: Settings,
    database: Database,
    ann: UUID,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "LOCK_TIMEOUT_SEC", 0.1)
    path, body = ADDING[-2]

    async with open_client(secured) as client:
        with transaction(database.url) as other:
            other.execute(f"SELECT FROM account WHERE id = '{ann}' FOR UPDATE")
            response = await client.post(path, json=body, headers=bearer(session.token))
        again = await client.post(path, json=body, headers=bearer(session.token))

    assert response.status_code == 503
    assert response.json()["error"]["code"] == "database_busy"
    assert int(response.headers["retry-after"]) > 0
    assert again.status_code == 202


async def test_a_deletion_waits_for_as_long_as_it_takes(
    secured: Settings,
    database: Database,
    ann: UUID,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "LOCK_TIMEOUT_SEC", 0.1)
    source, _, _ = own_something(database.url, ann)

    async def waits_for_longer() -> bool:
        return fetch(
            database.url,
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database() AND now() - query_start > interval '0.3 s'",
        ) == [(1,)]

    async with open_client(secured) as client:
        with transaction(database.url) as step:
            step.execute(f"SELECT FROM source WHERE id = '{source}' FOR UPDATE")
            deletion = asyncio.create_task(client.delete("/v1/me", headers=bearer(session.token)))
            await eventually(waits_for_longer)
        response = await deletion

    assert response.status_code == 200, response.text
