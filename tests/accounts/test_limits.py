"""Limits: how often accounts, addresses and mailboxes may ask, counted by all processes as one."""

import asyncio
import json
import subprocess
import sys
import uuid
from uuid import UUID

import httpx2
import pytest
from pydantic import SecretStr

from app.accounts.exceptions import TooManyRequests
from app.accounts.limits import (
    ACCOUNTS_OF_AN_ADDRESS,
    Allowance,
    Limit,
    Unit,
    account_limits,
    address_limit,
    count_request,
    login_limits,
    token_limit,
)
from app.accounts.sessions import Session
from app.core.database import Database
from settings import ROOT, Settings
from tests.accounts.people import auth_required, bearer, join, log_in, new_token
from tests.accounts.statements import statements
from tests.conftest import Ingest
from tests.support import execute, fetch, open_client

PROCESS = """
import asyncio, json, sys
from app.accounts.exceptions import TooManyRequests
from app.accounts.limits import Holder, Limit, Unit, count_request
from app.core.database import Database

async def main(url, owners):
    database = Database(url, pool_size=10)

    async def ask(number):
        # Each in another order, which must not make them wait for each other.
        order = owners[number % len(owners):] + owners[:number % len(owners)]
        try:
            await count_request(
                database,
                [
                    Limit(owner, 60, 3600, Unit.REQUESTS, Holder[holder])
                    for owner, holder in order
                ],
            )
        except TooManyRequests:
            return False
        return True

    print("ready", flush=True)
    sys.stdin.readline()
    passed = await asyncio.gather(*map(ask, range(50)))
    print(json.dumps(sum(passed)), flush=True)

asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
"""


@pytest.fixture
def account() -> UUID:
    return uuid.uuid4()


async def passed(database: Database, limits: list[Limit], attempts: int) -> int:
    """How many of so many requests, one after the other, are let through."""
    through = 0
    for _ in range(attempts):
        try:
            await count_request(database, limits)
        except TooManyRequests:
            continue
        through += 1
    return through


def counts(database_url: str) -> list[int]:
    return [count for (count,) in fetch(database_url, "SELECT count FROM rate_limit ORDER BY 1")]


def end_windows(database_url: str) -> None:
    execute(database_url, "UPDATE rate_limit SET ends_at = ends_at - interval '1 hour'")


@pytest.mark.parametrize(
    ("owners", "counted"),
    [
        ([("one", "ACCOUNT")], [150]),
        ([(name, "ACCOUNT") for name in ("one", "two", "three", "four")], [150] * 4),
        # The two after the token have counted what it let through.
        ([("one", "TOKEN"), ("two", "ACCOUNT"), ("three", "ADDRESS")], [60, 60, 150]),
    ],
)
def test_parallel_requests_of_several_processes_are_counted_exactly(
    database_url: str, owners: list[tuple[str, str]], counted: list[int]
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, database_url, json.dumps(owners)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()

    let_through = [json.loads(process.communicate(timeout=60)[0]) for process in processes]

    assert sum(let_through) == 60
    assert counts(database_url) == counted


async def test_what_is_left_is_told(database: Database) -> None:
    limits = [Limit("one", 2, 60), Limit("two", 5, 3600)]

    assert await count_request(database, limits) == Allowance(limit=2, remaining=1, reset_sec=60)
    assert (await count_request(database, limits)).remaining == 0
    with pytest.raises(TooManyRequests, match="Please try again in 60 seconds") as error:
        await count_request(database, limits)

    assert error.value.headers == {
        "Retry-After": "60",
        "RateLimit-Limit": "2",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "60",
    }


async def test_of_several_limits_that_are_exceeded_the_one_that_lasts_longest_is_told(
    database: Database,
) -> None:
    limits = [Limit("one", 1, 60), Limit("two", 1, 3600)]
    await count_request(database, limits)

    with pytest.raises(TooManyRequests) as error:
        await count_request(database, limits)

    assert error.value.headers["Retry-After"] == "3600"


async def test_a_window_that_is_over_begins_anew(database: Database, database_url: str) -> None:
    limits = [Limit("one", 3, 3600)]
    assert await passed(database, limits, 5) == 3

    execute(database_url, "UPDATE rate_limit SET ends_at = ends_at - interval '59 minutes'")
    assert await passed(database, limits, 1) == 0
    end_windows(database_url)

    assert await passed(database, limits, 5) == 3


async def test_accounts_of_one_address_do_not_share(database: Database, account: UUID) -> None:
    assert await passed(database, account_limits(account, "192.0.2.1", 3), 5) == 3

    assert await passed(database, account_limits(uuid.uuid4(), "192.0.2.1", 3), 5) == 3
    assert await passed(database, account_limits(account, "192.0.2.2", 3), 1) == 0


async def test_what_an_account_is_refused_is_nothing_to_the_others_of_its_address(
    database: Database, account: UUID, database_url: str
) -> None:
    assert await passed(database, account_limits(account, "192.0.2.1", 3), 50) == 3
    assert counts(database_url) == [3, 50]

    others = [account_limits(uuid.uuid4(), "192.0.2.1", 3) for _ in range(9)]
    assert sum([await passed(database, limits, 3) for limits in others]) == 27
    assert await passed(database, account_limits(uuid.uuid4(), "192.0.2.1", 3), 1) == 0


async def test_what_a_token_is_refused_is_nothing_to_its_account(
    database: Database, account: UUID, database_url: str
) -> None:
    of_account = account_limits(account, "192.0.2.1", 5)
    of_token = token_limit(uuid.uuid4(), 2, Unit.REQUESTS)

    assert await passed(database, [*of_account, of_token], 50) == 2
    assert counts(database_url) == [2, 2, 50]
    assert await passed(database, of_account, 5) == 3


async def test_what_an_address_is_refused_counts_for_it(
    database: Database, account: UUID, database_url: str
) -> None:
    """Whoever goes on there is an account of it in any case."""
    address = address_limit("192.0.2.1", 1)
    await passed(database, [address], ACCOUNTS_OF_AN_ADDRESS)

    assert await passed(database, account_limits(account, "192.0.2.1", 1), 1) == 0
    assert counts(database_url) == [1, ACCOUNTS_OF_AN_ADDRESS + 1]


async def test_a_clock_that_was_set_back_locks_nobody_out_for_longer_than_a_window(
    database: Database, database_url: str
) -> None:
    limits = [Limit("one", 3, 3600)]
    await passed(database, limits, 3)
    execute(database_url, "UPDATE rate_limit SET ends_at = now() + interval '10 years'")

    with pytest.raises(TooManyRequests) as error:
        await count_request(database, limits)
    assert error.value.headers["Retry-After"] == "3600"
    end_windows(database_url)

    assert await passed(database, limits, 5) == 3


async def test_a_clock_that_was_set_back_gives_nothing_away(
    database: Database, database_url: str
) -> None:
    limits = [Limit("one", 3, 3600)]
    await passed(database, limits, 2)
    execute(database_url, "UPDATE rate_limit SET ends_at = ends_at + interval '1 minute'")

    assert await passed(database, limits, 5) == 1


async def test_an_address_does_not_exhaust_another(database: Database) -> None:
    through = 3 * ACCOUNTS_OF_AN_ADDRESS
    accounts = [account_limits(uuid.uuid4(), "192.0.2.1", 3) for _ in range(through + 5)]

    assert sum([await passed(database, limits, 1) for limits in accounts]) == through
    assert await passed(database, account_limits(uuid.uuid4(), "192.0.2.2", 3), 1) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        (None, "192.0.2.1", False),
        ("proxy", "other", False),
    ],
)
def test_an_address_is_what_one_machine_can_have(one: str | None, other: str, same: bool) -> None:
    assert (address_limit(one, 1) == address_limit(other, 1)) is same


async def test_logins_are_limited_by_address_and_by_mailbox(
    database: Database, database_url: str
) -> None:
    def limits(email: str, host: str) -> list[Limit]:
        return login_limits(email, host, 3)

    assert await passed(database, limits("a@example.org", "192.0.2.1"), 5) == 3
    assert await passed(database, limits("b@example.org", "192.0.2.1"), 1) == 0
    assert await passed(database, limits("a@example.org", "192.0.2.2"), 1) == 0
    assert await passed(database, limits("c@example.org", "192.0.2.3"), 1) == 1

    stored = fetch(database_url, "SELECT encode(key, 'escape') FROM rate_limit")
    assert len(stored) == 6
    assert not any("example" in key or "192.0" in key for (key,) in stored)


async def test_a_flood_of_logins_stays_cheap(database: Database, database_url: str) -> None:
    limits = login_limits("a@example.org", "192.0.2.1", 10)

    assert await passed(database, limits, 1_500) == 10
    assert fetch(database_url, "SELECT count, count(*) FROM rate_limit GROUP BY 1") == [(1_500, 2)]
    # The same pages are used again and again, where each count would take a place of its own: 27.
    # Whoever looks at the database meanwhile keeps some from being used again.
    [(size,)] = fetch(database_url, "SELECT pg_relation_size('rate_limit')")
    assert size <= 18 * 8192


async def test_counters_that_are_over_are_removed(database: Database, database_url: str) -> None:
    for number in range(25):
        await count_request(database, [Limit(f"old {number}", 1, 60)])
    end_windows(database_url)

    for number in range(2):
        await count_request(database, [Limit(f"new {number}", 100, 60)])

    assert fetch(database_url, "SELECT count FROM rate_limit") == [(1,), (1,)]


async def test_every_answer_tells_what_is_left(
    ingest: Ingest, settings: Settings, database_url: str
) -> None:
    limited = settings.model_copy(update={"requests_per_minute": 4})
    async with open_client(limited) as client:
        listed = await client.get("/v1/messages")
        streamed = await client.post("/v1/qa-stream", json={"message": "Hi"})
        missing = await client.get(f"/v1/messages/{uuid.uuid4()}/trace")
        invalid = await client.get("/v1/messages?limit=x")
        refused = await client.get("/v1/messages", headers={"x-request-id": "order-7"})
        health = await client.get("/healthcheck")
        end_windows(database_url)
        again = await client.get("/v1/messages")

    assert listed.status_code == 200
    assert listed.headers["ratelimit-limit"] == "4"
    assert listed.headers["ratelimit-remaining"] == "3"
    assert 0 < int(listed.headers["ratelimit-reset"]) <= 60
    assert (streamed.status_code, streamed.headers["ratelimit-remaining"]) == (200, "2")
    assert (missing.status_code, missing.headers["ratelimit-remaining"]) == (404, "1")
    assert (invalid.status_code, invalid.headers["ratelimit-remaining"]) == (422, "0")
    assert refused.status_code == 429
    seconds = refused.headers["retry-after"]
    assert refused.headers.get_list("ratelimit-remaining") == ["0"]
    assert refused.json()["error"] == {
        "code": "too_many_requests",
        "message": f"Too many requests. Please try again in {seconds} seconds.",
        "details": {"retry_after_sec": int(seconds)},
        "request_id": "order-7",
    }
    assert health.status_code == 200
    assert "ratelimit-limit" not in health.headers
    assert again.status_code == 200


async def test_an_account_has_one_limit_for_all_of_its_tokens_and_for_nobody_else(
    settings: Settings, database: Database
) -> None:
    limited = auth_required(settings, requests_per_minute=3)
    ann, ben = join(database, "ann@example.org"), join(database, "ben@example.org")
    first, second = log_in(database, limited, ann), log_in(database, limited, ann)
    other = log_in(database, limited, ben)

    async with open_client(limited) as client:

        async def ask(session: Session) -> tuple[int, str]:
            response = await client.get("/v1/messages", headers=bearer(session.token))
            return response.status_code, response.headers["ratelimit-remaining"]

        asked = [await ask(session) for session in (first, second, first, second, other)]

    assert asked == [(200, "2"), (200, "1"), (200, "0"), (429, "0"), (200, "2")]


async def test_a_token_may_have_a_limit_of_its_own_below_its_accounts(
    settings: Settings, database: Database
) -> None:
    limited = auth_required(settings, requests_per_minute=8)
    session = log_in(database, limited, join(database, "ann@example.org"))

    async with open_client(limited) as client:

        async def ask(token: str, times: int) -> list[tuple[int, str]]:
            responses = [
                await client.get("/v1/messages", headers=bearer(token)) for _ in range(times)
            ]
            return [
                (response.status_code, response.headers["ratelimit-remaining"])
                for response in responses
            ]

        slow = await new_token(client, session, "read", requests_per_minute=2)
        other = await new_token(client, session, "read")
        keys = fetch(database.url, "SELECT count(*) FROM rate_limit")
        asked = await ask(slow["token"], 4)
        others = await ask(other["token"], 4)
        keys_with_tokens = fetch(database.url, "SELECT count(*) FROM rate_limit")

    assert asked == [(200, "1"), (200, "0"), (429, "0"), (429, "0")]
    # Making the two has counted, too.
    assert others == [(200, "3"), (200, "2"), (200, "1"), (200, "0")]
    # The account's and the address's; then one for the token that has a limit.
    assert (keys, keys_with_tokens) == ([(2,)], [(3,)])


async def test_authenticating_and_counting_are_two_statements(
    settings: Settings, database: Database, ingest: Ingest
) -> None:
    limited = auth_required(settings)
    session = log_in(database, limited, join(database, "ann@example.org"))
    async with open_client(limited) as client:
        made = await new_token(
            client, session, "read", "ask", requests_per_minute=20, tokens_per_day=100
        )
        for token in (session.token, made["token"]):
            # What begins a window tidies up, too.
            await client.get("/v1/messages", headers=bearer(token))
            with statements(touching=r"access_token|account\b|use_limits|rate_limit") as sent:
                read = await client.get("/v1/messages", headers=bearer(token))
            assert ["JOIN account " in statement for statement in sent] == [True, False]
            assert "FROM use_limits" in sent[1]

            with statements(touching="FROM access_token|FROM use_limits|rate_limit") as sent:
                asked = await client.post(
                    "/v1/completion", json={"message": "Hi"}, headers=bearer(token)
                )
            found, counted, *spent = sent
            assert "FROM access_token" in found
            assert all("FROM use_limits" in statement for statement in (counted, *spent))
            # What an answer has used is added where it is stored.
            assert len(spent) <= 1

            left = [int(answer.headers["ratelimit-remaining"]) for answer in (read, asked)]
            assert (asked.status_code, left[0] - left[1]) == (200, 1)


async def test_trying_links_is_limited_by_address(
    settings: Settings, database: Database, database_url: str
) -> None:
    limited = auth_required(settings, login_requests_per_hour=2)
    async with open_client(limited) as client:

        async def try_link(token: str) -> httpx2.Response:
            return await client.post("/v1/login/verify", json={"token": token})

        answers = [await try_link(token) for token in ("guess", "A" * 43, "another")]
        session = log_in(database, limited, join(database, "ann@example.org"))
        others = await client.get("/v1/me", headers=bearer(session.token))
        end_windows(database_url)
        again = await try_link("guess")

    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert answers[1].headers["ratelimit-remaining"] == "0"
    # Not for an hour: somebody at the same address may have a good one.
    assert 0 < int(answers[2].headers["retry-after"]) <= 60
    assert answers[2].json()["error"]["code"] == "too_many_requests"
    assert (others.status_code, again.status_code) == (200, 401)


async def test_links_that_are_tried_at_once_are_limited_as_well(settings: Settings) -> None:
    limited = auth_required(settings, login_requests_per_hour=5)
    async with open_client(limited) as client:
        answers = await asyncio.gather(
            *(client.post("/v1/login/verify", json={"token": "guess"}) for _ in range(12))
        )

    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 7


async def test_asking_for_links_is_limited_by_address_whatever_the_mailbox(
    settings: Settings, database_url: str
) -> None:
    limited = auth_required(
        settings, login_requests_per_hour=2, smtp_url=SecretStr("smtp://127.0.0.1:1")
    )
    async with open_client(limited) as client:
        answers = [
            await client.post(f"/v1/{route}", json={"email": f"{name}@example.org"})
            for route, name in (("login", "ann"), ("register", "ben"), ("login", "eve"))
        ]
        end_windows(database_url)
        again = await client.post("/v1/login", json={"email": "ann@example.org"})

    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[1].headers["ratelimit-remaining"] == "0"
    assert 0 < int(answers[2].headers["retry-after"]) <= 3600
    assert again.status_code == 202


async def test_without_authentication_nothing_is_counted(
    api: httpx2.AsyncClient, database_url: str
) -> None:
    response = await api.get("/v1/messages")

    assert "ratelimit-limit" not in response.headers
    assert fetch(database_url, "SELECT FROM rate_limit") == []


async def test_requests_without_a_valid_token_are_limited_by_address(settings: Settings) -> None:
    limited = auth_required(settings, requests_per_minute=1)
    async with open_client(limited) as client:
        answers = await asyncio.gather(
            *(client.get("/v1/messages") for _ in range(ACCOUNTS_OF_AN_ADDRESS + 2))
        )

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [401] * ACCOUNTS_OF_AN_ADDRESS + [429] * 2
