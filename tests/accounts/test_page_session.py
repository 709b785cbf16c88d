"""What a page that was loaded anew is told, so that it can go on with its session."""

from uuid import UUID

import httpx2
import pytest

from app.accounts.models import LOCAL_ACCOUNT
from app.accounts.sessions import Session
from app.core.database import Database
from settings import Settings
from tests.accounts.people import bearer, log_in, new_token, open_page


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-origin"}])
async def test_a_page_that_was_loaded_anew_can_change_something(
    secured: Settings, session: Session, headers: dict[str, str]
) -> None:
    async with open_page(secured, session) as page:
        told = await page.get("/v1/me", headers=headers)
        proof = {"X-CSRF-Token": told.json()["csrf_token"]}
        changed = await page.patch("/v1/me", json={"name": "Ann"}, headers=proof)

    assert told.json()["csrf_token"] == session.csrf_token
    assert told.json()["auth"] == "required"
    assert told.headers["cache-control"] == "no-store"
    assert changed.json()["name"] == "Ann"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://app.example", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_a_page_of_another_origin_is_not_told(
    secured: Settings, session: Session, headers: dict[str, str]
) -> None:
    # Even one that may read answers.
    allowing = secured.model_copy(update={"cors_origins": ["https://app.example"]})

    async with open_page(allowing, session) as page:
        told = await page.get("/v1/me", headers=headers)

    assert told.json()["email"] == "ann@example.org"
    assert told.json()["csrf_token"] is None
    assert session.csrf_token not in told.text


async def test_each_session_is_told_its_own(
    secured: Settings, database: Database, session: Session, ann: UUID
) -> None:
    other = log_in(database, secured, ann)

    async with open_page(secured, other) as page:
        told = (await page.get("/v1/me")).json()["csrf_token"]

    assert told == other.csrf_token
    assert told != session.csrf_token


async def test_a_program_is_told_none(
    people_api: httpx2.AsyncClient, secured: Settings, session: Session
) -> None:
    api_token = await new_token(people_api, session, "read")

    async with open_page(secured, session) as page:
        # Its cookie is not what it is let in by.
        answers = [
            (await page.get("/v1/me", headers=bearer(token))).json()
            for token in (session.token, api_token["token"])
        ]

    assert [answer["csrf_token"] for answer in answers] == [None, None]


async def test_without_accounts_a_page_is_told_that_nobody_logs_in(
    api: httpx2.AsyncClient,
) -> None:
    told = (await api.get("/v1/me", headers={"Cookie": "brag_session=left-over"})).json()

    assert told["id"] == str(LOCAL_ACCOUNT)
    assert (told["auth"], told["csrf_token"]) == ("off", None)
