"""Tokens of a language model: so many a day for an account, an API token and an address."""

import asyncio
import uuid
from uuid import UUID

import pytest
from anyio import to_thread

from app.accounts.exceptions import TokensUsedUp, TooManyRequests
from app.accounts.limits import (
    ACCOUNTS_OF_AN_ADDRESS,
    Limit,
    Unit,
    account_limits,
    count_request,
    spend_tokens,
    token_limit,
)
from app.accounts.models import LOCAL_ACCOUNT
from app.core.database import Database, Queries
from app.core.exceptions import NotFound
from settings import Auth, Settings
from tests.accounts.people import auth_required, bearer, join, log_in, new_token
from tests.support import execute, fetch, open_client

HOST = "127.0.0.1"
PER_DAY = 100


@pytest.fixture
def limits() -> list[Limit]:
    return a_day_of(uuid.uuid4())


def a_day_of(account_id: UUID, host: str = HOST, amount: int = PER_DAY) -> list[Limit]:
    return account_limits(account_id, host, amount, Unit.TOKENS)


def spend(database: Database, limits: list[Limit], tokens: int) -> None:
    database.run_sync(spend_tokens, limits, tokens)


def let_pass(database_url: str, time: str) -> None:
    execute(database_url, f"UPDATE rate_limit SET ends_at = ends_at - interval '{time}'")


async def is_refused(database: Database, limits: list[Limit]) -> bool:
    try:
        await count_request(database, limits)
    except TokensUsedUp:
        return True
    return False


async def test_who_has_some_left_is_answered_whatever_it_takes(
    database: Database, limits: list[Limit]
) -> None:
    spend(database, limits, PER_DAY - 1)
    assert not await is_refused(database, limits)

    spend(database, limits, 5 * PER_DAY)
    assert await is_refused(database, limits)


async def test_a_limit_that_is_reached_exactly_is_used_up(
    database: Database, limits: list[Limit]
) -> None:
    spend(database, limits, PER_DAY)

    assert await is_refused(database, limits)


async def test_a_day_begins_with_its_first_use(
    database: Database, database_url: str, limits: list[Limit]
) -> None:
    assert not await is_refused(database, limits)
    assert fetch(database_url, "SELECT FROM rate_limit") == []

    spend(database, limits, 60)
    let_pass(database_url, "23 hours")
    spend(database, limits, 40)
    assert await is_refused(database, limits)
    let_pass(database_url, "1 hour")

    assert not await is_refused(database, limits)
    spend(database, limits, 60)
    assert not await is_refused(database, limits)


async def test_who_is_refused_is_told_when_tokens_come_back(
    database: Database, database_url: str, limits: list[Limit]
) -> None:
    async def refusal() -> TokensUsedUp:
        with pytest.raises(TokensUsedUp) as error:
            await count_request(database, limits)
        return error.value

    spend(database, limits, PER_DAY + 3)
    first = await refusal()
    let_pass(database_url, "23 hours 30 minutes")
    later = await refusal()

    assert first.message == "The tokens of the day are used up. They come back in 24 hours."
    assert first.headers["RateLimit-Limit"] == "100"
    assert first.headers["RateLimit-Remaining"] == "0"
    assert first.headers["RateLimit-Reset"] == first.headers["Retry-After"]
    assert 86_300 < int(first.headers["Retry-After"]) <= 86_400
    assert later.message.endswith("come back in 30 minutes.")
    assert 1700 < later.details["retry_after_sec"] <= 1800


async def test_accounts_do_not_share_and_an_address_has_ten_times_as_much(
    database: Database,
) -> None:
    for _ in range(ACCOUNTS_OF_AN_ADDRESS):
        limits = a_day_of(uuid.uuid4())
        assert not await is_refused(database, limits)
        spend(database, limits, PER_DAY)
        assert await is_refused(database, limits)

    assert await is_refused(database, a_day_of(uuid.uuid4()))
    assert not await is_refused(database, a_day_of(uuid.uuid4(), "192.0.2.1"))


async def test_a_token_of_its_own_limit_leaves_the_rest_to_its_account(
    database: Database, limits: list[Limit]
) -> None:
    own = [*limits, token_limit(uuid.uuid4(), 10, Unit.TOKENS)]
    spend(database, own, 10)

    assert await is_refused(database, own)
    assert not await is_refused(database, limits)
    spend(database, limits, 90)
    assert await is_refused(database, limits)


async def test_who_is_refused_uses_up_no_requests_of_the_address(
    database: Database, database_url: str, limits: list[Limit]
) -> None:
    [of_account, of_address] = account_limits(uuid.uuid4(), HOST, 5)
    spend(database, limits[:1], PER_DAY)

    assert await is_refused(database, [*limits, of_account, of_address])

    counts = fetch(database_url, "SELECT count FROM rate_limit ORDER BY 1")
    assert counts == [(1,), (PER_DAY,)]


async def test_answers_that_end_at_once_are_counted_exactly(
    database: Database, database_url: str
) -> None:
    """Of three accounts, each with its own token, behind one address."""
    people = [
        [*a_day_of(uuid.uuid4()), token_limit(uuid.uuid4(), 5, Unit.TOKENS)] for _ in range(3)
    ]

    def store(number: int) -> None:
        limits = people[number % 3]
        spend(database, limits if number % 2 else limits[::-1], number)

    await asyncio.gather(*(to_thread.run_sync(store, number) for number in range(60)))

    counts = fetch(database_url, "SELECT count FROM rate_limit ORDER BY 1")
    sums = [sum(range(first, 60, 3)) for first in range(3)]
    assert counts == [(count,) for count in sorted([*sums, *sums, sum(sums)])]


async def test_what_is_not_stored_costs_nothing(
    database: Database, database_url: str, limits: list[Limit]
) -> None:
    def fail(queries: Queries) -> None:
        spend_tokens(queries, limits, PER_DAY)
        raise NotFound

    with pytest.raises(NotFound):
        database.run_sync(fail)

    assert fetch(database_url, "SELECT FROM rate_limit") == []


async def test_a_clock_that_was_set_back_locks_nobody_out_for_longer_than_a_day(
    database: Database, database_url: str, limits: list[Limit]
) -> None:
    spend(database, limits, PER_DAY)
    execute(database_url, "UPDATE rate_limit SET ends_at = now() + interval '10 years'")

    assert not await is_refused(database, limits)
    spend(database, limits, 1)
    assert await is_refused(database, limits)
    let_pass(database_url, "1 day")

    assert not await is_refused(database, limits)


async def test_too_many_requests_of_who_has_no_tokens_either_are_told_the_later_end(
    database: Database, limits: list[Limit]
) -> None:
    both = [*limits, Limit("one", 1, 60)]
    spend(database, limits, PER_DAY)

    assert await is_refused(database, both)
    # The requests were counted all the same.
    with pytest.raises(TooManyRequests, match="Too many requests"):
        await count_request(database, [Limit("one", 1, 60)])


@pytest.mark.parametrize(
    ("auth", "given", "limit"),
    [
        (Auth.OFF, None, 0),
        (Auth.OFF, 5, 5),
        (Auth.REQUIRED, None, 1_000_000),
        (Auth.REQUIRED, 0, 0),
    ],
)
def test_the_setting(settings: Settings, auth: Auth, given: int | None, limit: int) -> None:
    changed = settings.model_copy(update={"auth": auth, "tokens_per_day": given})

    assert changed.token_limit == limit


async def test_only_what_generates_is_refused(settings: Settings, database: Database) -> None:
    limited = settings.model_copy(update={"tokens_per_day": PER_DAY})
    spend(database, a_day_of(LOCAL_ACCOUNT), PER_DAY)
    message = {"message": "Hello?"}
    async with open_client(limited) as client:
        chat = await client.post("/v1/chats")
        url = f"/v1/chats/{chat.json()['id']}"
        refused = [
            await client.post("/v1/completion", json=message),
            await client.post("/v1/completion-stream", json=message),
            await client.post("/v1/qa-create", json=message),
            await client.post("/v1/qa-stream", json=message),
            await client.post(f"{url}/messages", json=message),
            await client.post(f"{url}/regenerate", json={}),
            await client.post(f"/v1/messages/{uuid.uuid4()}/replay"),
        ]
        others = [
            await client.get("/v1/messages"),
            await client.get("/v1/me"),
            await client.post("/v1/search", json={"query": "Hello?"}),
            await client.patch(url, json={"title": "Hello"}),
            await client.delete(url),
        ]
        missing = [
            await client.post(f"/v1/messages/{uuid.uuid4()}/cancel"),
            await client.get(f"/v1/messages/{uuid.uuid4()}/stream"),
        ]
        let_pass(database.url, "1 day")
        again = await client.post("/v1/completion", json=message)

    assert {answer.status_code for answer in refused} == {429}
    assert {answer.json()["error"]["code"] for answer in refused} == {"too_many_tokens"}
    assert {answer.headers["ratelimit-limit"] for answer in refused} == {"100"}
    assert all(answer.is_success for answer in [chat, *others])
    assert [answer.status_code for answer in missing] == [404, 404]
    assert again.status_code == 200


async def test_a_token_may_have_a_day_of_its_own(settings: Settings, database: Database) -> None:
    limited = auth_required(settings)
    ann = join(database, "ann@example.org")
    session = log_in(database, limited, ann)
    async with open_client(limited) as client:

        async def ask(token: str) -> int:
            response = await client.post(
                "/v1/completion", json={"message": "Hello?"}, headers=bearer(token)
            )
            return response.status_code

        made = await new_token(client, session, "ask", tokens_per_day=50)
        other = await new_token(client, session, "ask")
        before = await ask(made["token"])
        spend(database, [token_limit(UUID(made["id"]), 50, Unit.TOKENS)], 50)
        asked = [await ask(token) for token in (made["token"], other["token"], session.token)]

    assert (before, asked) == (200, [429, 200, 200])
