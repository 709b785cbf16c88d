"""API tokens over HTTP: made, listed, revoked, and refused."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import anyio
import httpx2
import pytest

from app.accounts.sessions import Session
from app.core.database import Database
from settings import Settings
from tests.accounts.people import bearer, join, log_in, new_token
from tests.support import execute, fetch


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


async def create(api: httpx2.AsyncClient, session: Session, **fields: Any) -> httpx2.Response:
    body = {"name": "a program", "scopes": ["read"], **fields}
    return await api.post("/v1/tokens", json=body, headers=bearer(session.token))


async def listed(api: httpx2.AsyncClient, session: Session) -> list[dict[str, Any]]:
    response = await api.get("/v1/tokens", headers=bearer(session.token))
    assert response.status_code == 200, response.text
    tokens: list[dict[str, Any]] = response.json()
    return tokens


async def test_a_token_is_told_once(people_api: httpx2.AsyncClient, session: Session) -> None:
    expires_at = in_days(30)
    response = await create(
        people_api, session, name="nightly", scopes=["read", "ingest"], expires_at=expires_at
    )
    made = response.json()
    [shown] = await listed(people_api, session)

    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert made["token"].startswith(made["hint"])
    assert (made["name"], sorted(made["scopes"])) == ("nightly", ["ingest", "read"])
    assert datetime.fromisoformat(made["expires_at"]) == datetime.fromisoformat(expires_at)
    assert shown == {key: value for key, value in made.items() if key != "token"}


async def test_a_tokens_own_limits_are_told(
    people_api: httpx2.AsyncClient, session: Session
) -> None:
    await new_token(people_api, session, "read", requests_per_minute=1, tokens_per_day=10**9)
    made = await new_token(people_api, session, "read")
    tokens = await listed(people_api, session)

    assert (made["requests_per_minute"], made["tokens_per_day"]) == (None, None)
    assert [(token["requests_per_minute"], token["tokens_per_day"]) for token in tokens] == [
        (None, None),
        (1, 10**9),
    ]


async def test_the_list_tells_when_a_token_was_used(
    people_api: httpx2.AsyncClient, session: Session
) -> None:
    first = await new_token(people_api, session, "read")
    second = await new_token(people_api, session, "read")
    await people_api.get("/v1/me", headers=bearer(first["token"]))

    tokens = await listed(people_api, session)

    assert [token["id"] for token in tokens] == [second["id"], first["id"]]
    assert [token["last_used_at"] is None for token in tokens] == [True, False]


async def test_a_revoked_token_is_refused_from_the_next_request_on(
    people_api: httpx2.AsyncClient, session: Session
) -> None:
    made = await new_token(people_api, session, "read")
    before = await people_api.get("/v1/me", headers=bearer(made["token"]))

    revoked = await people_api.delete(f"/v1/tokens/{made['id']}", headers=bearer(session.token))
    after = await people_api.get("/v1/me", headers=bearer(made["token"]))

    assert (before.status_code, revoked.status_code, after.status_code) == (200, 204, 401)
    assert await listed(people_api, session) == []


async def test_other_peoples_tokens_are_not_there(
    people_api: httpx2.AsyncClient, database: Database, secured: Settings, session: Session
) -> None:
    made = await new_token(people_api, session, "read")
    others = log_in(database, secured, join(database, "bob@example.org"))
    headers = bearer(others.token)

    foreign = await people_api.delete(f"/v1/tokens/{made['id']}", headers=headers)
    missing = await people_api.delete(f"/v1/tokens/{uuid4()}", headers=headers)

    assert await listed(people_api, others) == []
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["detail"] == missing.json()["detail"]
    assert (await people_api.get("/v1/me", headers=bearer(made["token"]))).status_code == 200


async def test_a_session_is_not_revoked_as_a_token(
    people_api: httpx2.AsyncClient, database: Database, session: Session
) -> None:
    [(session_id,)] = fetch(database.url, "SELECT id::text FROM access_token")

    response = await people_api.delete(f"/v1/tokens/{session_id}", headers=bearer(session.token))

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "token_not_found"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "  "},
        {"name": "x" * 201},
        {"name": "two\nlines"},
        {"name": "\x1b[31mred"},
        {"name": "NUL\0"},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"scopes": "read"},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "9999-12-31T23:59:59-14:00"},
        {"expires_at": "0001-01-01T00:00:00+14:00"},
        {"expires_at": "2027-01-01T00:00:00"},
        {"expires_at": "soon"},
        {"account_id": str(uuid4())},
        {"requests_per_minute": 0},
        {"requests_per_minute": -1},
        {"requests_per_minute": 1_000_001},
        {"requests_per_minute": 1.5},
        {"tokens_per_day": 0},
        {"tokens_per_day": 10**12},
        {"tokens_per_day": "many"},
    ],
)
async def test_what_is_no_token_is_not_made(
    people_api: httpx2.AsyncClient, session: Session, fields: dict[str, Any]
) -> None:
    response = await create(people_api, session, **fields)

    assert response.status_code == 422
    assert next(iter(fields)) in response.json()["detail"]
    assert await listed(people_api, session) == []


async def test_half_of_a_surrogate_pair_is_no_name(
    people_api: httpx2.AsyncClient, session: Session
) -> None:
    response = await people_api.post(
        "/v1/tokens",
        content=b'{"name": "\\ud800", "scopes": ["read"]}',
        headers={**bearer(session.token), "Content-Type": "application/json"},
    )

    assert response.status_code == 422


async def test_a_token_expires_within_a_year(
    people_api: httpx2.AsyncClient, session: Session
) -> None:
    late = await create(people_api, session, expires_at=in_days(367))
    now = await create(people_api, session, expires_at=in_days(0))
    in_a_year = await create(people_api, session, expires_at=in_days(365))
    never = await create(people_api, session)

    assert (late.status_code, now.status_code) == (422, 422)
    assert "at most a year" in late.json()["detail"]
    assert (in_a_year.status_code, never.status_code) == (201, 201)
    assert never.json()["expires_at"] is None


async def test_nobody_gives_a_scope_that_they_lack(
    people_api: httpx2.AsyncClient, database: Database, secured: Settings, session: Session
) -> None:
    root = log_in(database, secured, join(database, "root@example.org", role="admin"))

    user = await create(people_api, session, scopes=["read", "admin"])
    admin = await create(people_api, root, scopes=["read", "admin"])

    assert user.status_code == 403
    assert user.json()["detail"].endswith("admin.")
    assert await listed(people_api, session) == []
    assert admin.status_code == 201


async def test_a_program_neither_makes_tokens_nor_touches_the_account(
    people_api: httpx2.AsyncClient, session: Session, ann: UUID
) -> None:
    """A token that leaked would otherwise outlive its end."""
    made = await new_token(people_api, session, "read", "ask", "ingest")
    headers = bearer(made["token"])

    answers = [
        await people_api.post(
            "/v1/tokens", json={"name": "x", "scopes": ["read"]}, headers=headers
        ),
        await people_api.get("/v1/tokens", headers=headers),
        await people_api.delete(f"/v1/tokens/{made['id']}", headers=headers),
        await people_api.patch("/v1/me", json={"name": "Eve"}, headers=headers),
        await people_api.delete("/v1/me", headers=headers),
        await people_api.post("/v1/logout", headers=headers),
    ]

    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert all("Log in" in answer.json()["detail"] for answer in answers)
    assert (await people_api.get("/v1/me", headers=headers)).json()["id"] == str(ann)


async def test_an_account_has_at_most_a_hundred_tokens(
    people_api: httpx2.AsyncClient, database: Database, session: Session, ann: UUID
) -> None:
    execute(
        database.url,
        "INSERT INTO access_token (account_id, kind, token_hash, hint, scopes, expires_at)"
        f" SELECT '{ann}', 'api', sha256(number::text::bytea), 'brag_', '{{read}}',"
        " CASE WHEN number = 1 THEN now() - interval '1 day' END"
        " FROM generate_series(1, 99) AS number",
    )
    answers: list[httpx2.Response] = []

    async def make() -> None:
        answers.append(await create(people_api, session))

    # 98 of those are good: of six at the same time, two are made.
    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(make)

    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409, 409]
    refused = next(answer for answer in answers if answer.status_code == 409).json()
    assert refused["error"]["code"] == "too_many_api_tokens"
    assert "Revoke one" in refused["detail"]
    assert len(await listed(people_api, session)) == 100


async def test_without_auth_there_are_no_tokens(api: httpx2.AsyncClient) -> None:
    for response in (
        await api.get("/v1/tokens"),
        await api.post("/v1/tokens", json={"name": "x", "scopes": ["read"]}),
        await api.delete(f"/v1/tokens/{uuid4()}"),
        await api.post("/v1/logout"),
    ):
        assert response.status_code == 409
        assert response.json()["error"]["code"] == "auth_off"
        assert "AUTH is off" in response.json()["detail"]
