"""Who a request comes from: bearer tokens, cookies, and all that is neither."""

import base64
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx2
import psycopg2
import pytest
from fastapi import Response
from pydantic import SecretStr

from app.accounts.sessions import Session, set_session_cookie
from app.accounts.tokens import API_PREFIX, SESSION_PREFIX, hash_token, new_token
from app.core.database import Database
from settings import Settings
from tests.accounts import people
from tests.accounts.people import auth_required, bearer, join, log_in, open_page
from tests.support import execute, fetch


def assert_unauthorized(response: httpx2.Response) -> dict[str, Any]:
    assert response.status_code == 401, response.text
    assert response.headers["www-authenticate"] == "Bearer"
    body: dict[str, Any] = response.json()
    assert body["error"]["code"] == "unauthorized"
    body["error"].pop("request_id")
    return body


def last_use(database: Database, token: str, settings: Settings) -> datetime | None:
    digest = hash_token(settings, token).hex()
    [(time,)] = fetch(
        database.url, f"SELECT last_used_at FROM access_token WHERE token_hash = '\\x{digest}'"
    )
    moment: datetime | None = time
    return moment


async def test_a_session_and_an_api_token_are_good_as_bearer_tokens(
    people_api: httpx2.AsyncClient, ann: UUID, session: Session
) -> None:
    made = await people.new_token(people_api, session, "read")

    for headers in (
        bearer(session.token),
        bearer(made["token"]),
        {"Authorization": f"bearer   {session.token}"},
    ):
        response = await people_api.get("/v1/me", headers=headers)
        assert response.status_code == 200, response.text
        assert response.json()["id"] == str(ann)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/me"),
        ("PATCH", "/v1/me"),
        ("DELETE", "/v1/me"),
        ("POST", "/v1/logout"),
        ("GET", "/v1/tokens"),
        ("POST", "/v1/tokens"),
        ("DELETE", "/v1/tokens/00000000-0000-0000-0000-000000000001"),
    ],
)
async def test_without_a_token_nothing_is_told(
    people_api: httpx2.AsyncClient, method: str, path: str
) -> None:
    assert_unauthorized(await people_api.request(method, path))


async def test_no_answer_tells_a_wrong_token_from_one_that_was_good(
    people_api: httpx2.AsyncClient, database: Database, session: Session, secured: Settings
) -> None:
    expired = await people.new_token(people_api, session, "read")
    revoked = await people.new_token(people_api, session, "read")
    execute(
        database.url,
        "UPDATE access_token SET expires_at = now() - interval '1 second'"
        f" WHERE id = '{expired['id']}'",
    )
    await people_api.delete(f"/v1/tokens/{revoked['id']}", headers=bearer(session.token))
    gone = join(database, "gone@example.org")
    of_gone = log_in(database, secured, gone)
    execute(database.url, f"DELETE FROM account WHERE id = '{gone}'")

    answers = [
        assert_unauthorized(await people_api.get("/v1/me", headers=headers))
        for headers in (
            None,
            {"Authorization": "Bearer"},
            bearer("nonsense"),
            bearer(session.token[:-1]),
            bearer(session.token.swapcase()),
            bearer(new_token(API_PREFIX)),
            bearer(new_token(SESSION_PREFIX)),
            bearer(expired["token"]),
            bearer(revoked["token"]),
            bearer(of_gone.token),
            bearer("x" * 8_000),
            {"Authorization": session.token},
            httpx2.Headers([(b"Authorization", b"Bearer \xff\xfe")]),
            {"Cookie": "brag_session=nonsense"},
            {"Cookie": f"brag_session={session.token[:-1]}"},
        )
    ]

    assert all(answer == answers[0] for answer in answers)


async def test_what_is_stored_of_a_token_is_no_token(
    people_api: httpx2.AsyncClient, database: Database, session: Session
) -> None:
    made = await people.new_token(people_api, session, "read")
    rows = fetch(
        database.url, "SELECT access_token::text, encode(token_hash, 'hex') FROM access_token"
    )

    for row, digest in rows:
        assert session.token not in row
        assert made["token"] not in row
        stored = bytes.fromhex(digest)
        for guess in (digest, base64.urlsafe_b64encode(stored).decode()):
            for text in (guess, f"brag_{guess}"):
                response = await people_api.get("/v1/me", headers=bearer(text))
                assert_unauthorized(response)


async def test_with_another_secret_key_all_tokens_are_worthless(
    database: Database, secured: Settings, session: Session
) -> None:
    other = secured.model_copy(update={"secret_key": SecretStr("another key of this server")})

    async with open_page(other, session) as page:
        assert_unauthorized(await page.get("/v1/me"))
        assert_unauthorized(await page.get("/v1/me", headers=bearer(session.token)))


async def test_a_session_ends_after_thirty_days(
    people_api: httpx2.AsyncClient, database: Database, session: Session, ann: UUID
) -> None:
    [(days,)] = fetch(
        database.url, "SELECT extract(day FROM expires_at - created_at)::int FROM access_token"
    )
    execute(database.url, "UPDATE access_token SET expires_at = now()")

    assert days == 30
    assert_unauthorized(await people_api.get("/v1/me", headers=bearer(session.token)))


async def test_sessions_that_have_ended_are_cleared_away(
    database: Database, secured: Settings, session: Session, ann: UUID
) -> None:
    execute(database.url, "UPDATE access_token SET expires_at = now()")

    log_in(database, secured, ann)

    assert fetch(database.url, "SELECT count(*) FROM access_token") == [(1,)]


async def test_its_last_use_is_noted_once_a_minute(
    people_api: httpx2.AsyncClient, database: Database, secured: Settings, session: Session
) -> None:
    before = last_use(database, session.token, secured)
    await people_api.get("/v1/me", headers=bearer(session.token))
    first = last_use(database, session.token, secured)
    await people_api.get("/v1/me", headers=bearer(session.token))
    second = last_use(database, session.token, secured)
    execute(
        database.url, "UPDATE access_token SET last_used_at = last_used_at - interval '61 seconds'"
    )
    await people_api.get("/v1/me", headers=bearer(session.token))
    third = last_use(database, session.token, secured)

    assert before is None
    assert first is not None
    assert second == first
    assert third is not None
    assert third > first


async def test_no_request_waits_for_whoever_has_locked_its_token(
    people_api: httpx2.AsyncClient, database: Database, session: Session
) -> None:
    connection = psycopg2.connect(database.url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM access_token FOR UPDATE")
            response = await people_api.get("/v1/me", headers=bearer(session.token), timeout=5)
    finally:
        connection.close()

    assert response.status_code == 200


async def test_a_token_does_what_its_scopes_allow(
    people_api: httpx2.AsyncClient, session: Session
) -> None:
    reader = await people.new_token(people_api, session, "read")
    asker = await people.new_token(people_api, session, "ask")

    reads = await people_api.get("/v1/sources", headers=bearer(reader["token"]))
    asks = await people_api.get("/v1/sources", headers=bearer(asker["token"]))

    assert reads.status_code == 200
    assert asks.status_code == 403
    assert asks.json()["error"]["code"] == "forbidden"
    assert "the scope read" in asks.json()["detail"]


async def test_the_cookie_is_enough_to_look(secured: Settings, ann: UUID, session: Session) -> None:
    async with open_page(secured, session) as page:
        response = await page.get("/v1/me")

    assert response.json()["id"] == str(ann)


@pytest.mark.parametrize(
    ("method", "path"), [("PATCH", "/v1/me"), ("DELETE", "/v1/me"), ("POST", "/v1/tokens")]
)
async def test_the_cookie_alone_changes_nothing(
    secured: Settings, database: Database, ann: UUID, session: Session, method: str, path: str
) -> None:
    of_another = log_in(database, secured, ann).csrf_token
    proofs = ("", "guess", "\u00ff", of_another, session.token, session.csrf_token[:-1])
    body = {"name": "Eve", "scopes": ["read"]}

    async with open_page(secured, session) as page:
        answers = [await page.request(method, path, json=body)] + [
            await page.request(
                method, path, json=body, headers={b"X-CSRF-Token": proof.encode("latin-1")}
            )
            for proof in proofs
        ]

    for answer in answers:
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "csrf_proof_missing"
        assert "X-CSRF-Token" in answer.json()["detail"]
    assert fetch(database.url, f"SELECT name FROM account WHERE id = '{ann}'") == [("",)]
    assert fetch(database.url, "SELECT count(*) FROM access_token WHERE kind = 'api'") == [(0,)]


async def test_the_cookie_with_its_proof_changes_something(
    secured: Settings, session: Session
) -> None:
    async with open_page(secured, session) as page:
        response = await page.patch(
            "/v1/me", json={"name": "Ann"}, headers={"X-CSRF-Token": session.csrf_token}
        )

    assert response.json()["name"] == "Ann"


async def test_an_api_token_is_no_cookie(people_api: httpx2.AsyncClient, session: Session) -> None:
    made = await people.new_token(people_api, session, "read")

    response = await people_api.get("/v1/me", headers={"Cookie": f"brag_session={made['token']}"})

    assert_unauthorized(response)


async def test_a_wrong_bearer_token_is_not_made_good_by_a_cookie(
    secured: Settings, session: Session
) -> None:
    async with open_page(secured, session) as page:
        wrong = await page.get("/v1/me", headers=bearer(new_token(API_PREFIX)))
        of_a_proxy = await page.get("/v1/me", headers={"Authorization": "Basic dXNlcjpwYXNz"})

    assert_unauthorized(wrong)
    assert of_a_proxy.status_code == 200


async def test_who_ceases_to_be_an_admin_loses_the_scope_at_once(
    people_api: httpx2.AsyncClient, database: Database, secured: Settings
) -> None:
    account_id = join(database, "root@example.org", role="admin")
    session = log_in(database, secured, account_id)
    made = await people.new_token(people_api, session, "admin")
    execute(database.url, f"UPDATE account SET role = 'user' WHERE id = '{account_id}'")

    again = await people_api.post(
        "/v1/tokens",
        json={"name": "x", "scopes": ["admin"]},
        headers=bearer(session.token),
    )

    assert made["scopes"] == ["admin"]
    assert again.status_code == 403


async def test_docs_know_how_to_send_a_token(people_api: httpx2.AsyncClient) -> None:
    schema = (await people_api.get("/openapi.json")).json()

    [(name, scheme)] = schema["components"]["securitySchemes"].items()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert schema["paths"]["/v1/me"]["get"]["security"] == [{name: []}]
    assert schema["paths"]["/v1/sources"]["get"]["security"] == [{name: []}]
    assert "security" not in schema["paths"]["/healthcheck"]["get"]


@pytest.mark.parametrize(
    ("public_url", "secure"),
    [(None, False), ("http://brag.example.org", False), ("https://brag.example.org", True)],
)
async def test_the_cookie_is_kept_from_scripts_and_other_sites(
    settings: Settings, session: Session, public_url: str | None, secure: bool
) -> None:
    response = Response()
    set_session_cookie(response, auth_required(settings, public_url=public_url), session)

    cookie, *attributes = response.headers["set-cookie"].split("; ")
    assert cookie == f"brag_session={session.token}"
    expected = {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=2592000"}
    assert set(attributes) == expected | ({"Secure"} if secure else set())
