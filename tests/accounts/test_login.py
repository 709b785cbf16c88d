"""Registering and logging in by a link, over HTTP and SMTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from app.core.database import Database
from app.knowledge.embedding import Embedder
from settings import Environment, Settings
from tests.accounts.mailbox import Mailbox, open_mailbox, token_in
from tests.accounts.people import auth_required, bearer, join
from tests.support import execute, fetch, open_client

PUBLIC_URL = "https://brag.example"
SENT = {"message": "If this address can log in, a link is on its way."}

NO_ADDRESSES: list[object] = [
    "ann@example.org\r\nBcc: eve@example.org",
    "ann@example.org\nSubject: hello",
    "ann@example.org,eve@example.org",
    "ann@example.org> RCPT TO:<eve@example.org",
    "Ann <ann@example.org>",
    "' OR true --@example.org",
    "ann@example.org\0",
    "a" * 300 + "@example.org",
    "ann@" + "a" * 900_000,
    "",
    None,
    ["ann@example.org", "eve@example.org"],
]


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with open_mailbox() as mailbox:
        yield mailbox


@pytest.fixture
def mailing(settings: Settings, mailbox: Mailbox) -> Settings:
    return auth_required(
        settings,
        smtp_url=SecretStr(mailbox.url),
        public_url=PUBLIC_URL,
        login_requests_per_hour=1000,
    )


@pytest.fixture
async def client(mailing: Settings, embedder: Embedder) -> AsyncIterator[httpx2.AsyncClient]:
    async with open_client(mailing) as client:
        yield client


async def ask(client: httpx2.AsyncClient, route: str, email: str) -> None:
    response = await client.post(f"/v1/{route}", json={"email": email})
    assert response.status_code == 202, response.text
    assert response.json() == SENT


async def verify(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    # In ASCII, since half a character can be sent in no other way.
    body = json.dumps({"token": token})
    headers = {"Content-Type": "application/json"}
    return await client.post("/v1/login/verify", content=body, headers=headers)


async def link(client: httpx2.AsyncClient, mailbox: Mailbox, route: str, email: str) -> str:
    """Have a link sent; return its token."""
    await ask(client, route, email)
    _, mail = await mailbox.receive()
    return token_in(mail.get_content())


async def log_in(
    client: httpx2.AsyncClient, mailbox: Mailbox, route: str, email: str
) -> dict[str, Any]:
    response = await verify(client, await link(client, mailbox, route, email))
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def accounts(url: str) -> list[tuple[str, str]]:
    return fetch(url, "SELECT email, role FROM account WHERE email <> 'local' ORDER BY email")


async def test_who_registers_gets_a_link_an_account_and_a_session(
    client: httpx2.AsyncClient, mailbox: Mailbox, database_url: str
) -> None:
    await ask(client, "register", "Ann@Example.org")
    assert accounts(database_url) == []
    recipients, mail = await mailbox.receive()
    response = await verify(client, token_in(mail.get_content()))
    client.cookies.clear()
    me = await client.get("/v1/me", headers=bearer(response.json()["token"]))

    assert recipients == ["ann@example.org"]
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert me.status_code == 200
    assert response.json()["account"].items() <= me.json().items()
    assert accounts(database_url) == [("ann@example.org", "user")]


async def test_the_cookie_of_a_login_is_a_session(
    client: httpx2.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    ann = join(database, "ann@example.org")
    answer = await log_in(client, mailbox, "login", "ann@example.org")
    # The test's client has no TLS, which the cookie of an https server insists on.
    client.cookies.set("brag_session", answer["token"])
    me = await client.get("/v1/me")
    unproven = await client.post("/v1/logout")
    proven = await client.post("/v1/logout", headers={"X-CSRF-Token": answer["csrf_token"]})

    assert me.json()["id"] == str(ann)
    assert unproven.status_code == 403
    assert proven.status_code == 204


async def test_the_mail_says_what_to_do_with_a_page_and_without(
    client: httpx2.AsyncClient, mailbox: Mailbox
) -> None:
    await ask(client, "register", "ann@example.org")
    _, mail = await mailbox.receive()
    text = mail.get_content()
    token = token_in(text)

    assert mail["To"] == "ann@example.org"
    assert mail["From"] == "bRAG <brag@localhost>"
    assert mail["Subject"] == "Log in to bRAG"
    assert mail.get_content_type() == "text/plain"
    assert f"\n{PUBLIC_URL}/login?token={token}\n" in text.replace("\r\n", "\n")
    assert f"curl -s {PUBLIC_URL}/v1/login/verify" in text
    assert f"The token alone: {token}" in text
    assert len(token) == 43


async def test_the_link_of_who_registers_again_logs_in(
    client: httpx2.AsyncClient, mailbox: Mailbox, database: Database, database_url: str
) -> None:
    ann = join(database, "ann@example.org", role="admin")

    answer = await log_in(client, mailbox, "register", "ann@example.org")

    assert answer["account"]["id"] == str(ann)
    assert accounts(database_url) == [("ann@example.org", "admin")]


async def test_nothing_is_sent_to_an_address_without_an_account(
    mailing: Settings, mailbox: Mailbox, embedder: Embedder, database_url: str
) -> None:
    async with open_client(mailing) as client:
        await ask(client, "login", "nobody@example.org")
        # The account that everything belongs to while AUTH is off is no mailbox.
        local = await client.post("/v1/login", json={"email": "local"})
    # The server has ended all that it was about to do.

    assert local.status_code == 422
    assert mailbox.is_empty
    assert fetch(database_url, "SELECT * FROM login_link") == []


@pytest.mark.parametrize("route", ["register", "login"])
async def test_the_answer_waits_for_no_mail(
    client: httpx2.AsyncClient, mailbox: Mailbox, database: Database, route: str
) -> None:
    join(database, "ann@example.org")
    mailbox.held = asyncio.Event()

    await ask(client, route, "ann@example.org")

    assert mailbox.is_empty
    mailbox.held.set()
    await mailbox.receive()


async def test_ways_to_write_an_address_are_one_account_and_tags_are_others(
    client: httpx2.AsyncClient, mailbox: Mailbox, database_url: str
) -> None:
    ids = [
        (await log_in(client, mailbox, "register", email))["account"]["id"]
        for email in ("jörg@münchen.example", " JÖRG@xn--mnchen-3ya.example ")
    ]
    await log_in(client, mailbox, "register", "jörg+a@münchen.example")

    assert len(set(ids)) == 1
    assert [email for email, _ in accounts(database_url)] == [
        "jörg+a@xn--mnchen-3ya.example",
        "jörg@xn--mnchen-3ya.example",
    ]


async def test_mail_goes_to_the_address_that_is_stored_not_to_a_lookalike(
    client: httpx2.AsyncClient, mailbox: Mailbox, database: Database
) -> None:
    join(database, "mike@example.org")

    await ask(client, "login", "mi\u212ae@example.org")
    recipients, mail = await mailbox.receive()

    assert recipients == ["mike@example.org"]
    assert mail["To"] == "mike@example.org"


async def test_what_is_no_address_is_refused(
    mailing: Settings, mailbox: Mailbox, embedder: Embedder, database: Database
) -> None:
    join(database, "ann@example.org")
    async with open_client(mailing) as client:
        answers = [
            await client.post(f"/v1/{route}", json={"email": email})
            for route in ("register", "login")
            for email in NO_ADDRESSES
        ]

    assert {answer.status_code for answer in answers} == {422}
    assert not any("eve" in answer.text for answer in answers)
    assert mailbox.is_empty


async def test_sql_in_an_address_is_an_address(
    client: httpx2.AsyncClient, mailbox: Mailbox, database_url: str
) -> None:
    email = "'%s'{0}--$1*/@example.org"

    answer = await log_in(client, mailbox, "register", email)

    assert answer["account"]["email"] == email
    assert accounts(database_url) == [(email, "user")]


async def test_no_answer_tells_why_a_link_is_not_valid(
    client: httpx2.AsyncClient, mailbox: Mailbox, database: Database, database_url: str
) -> None:
    ann = join(database, "ann@example.org")
    used = await link(client, mailbox, "login", "ann@example.org")
    assert (await verify(client, used)).status_code == 200
    expired = await link(client, mailbox, "register", "bob@example.org")
    valid = await link(client, mailbox, "login", "ann@example.org")
    # Now, since the next one that is stored clears it away.
    execute(
        database_url,
        "UPDATE login_link SET expires_at = now() WHERE email = 'bob@example.org'",
    )
    [(stored,)] = fetch(
        database_url,
        "SELECT encode(token_hash, 'hex') FROM login_link WHERE expires_at > now() "
        "AND used_at IS NULL",
    )
    wrong = {
        "used": used,
        "expired": expired,
        "guessed": "A" * 43,
        "truncated": valid[:-1],
        "longer": f"{valid}A",
        "in other letters": valid.swapcase(),
        "padded": f" {valid} ",
        "what is stored": stored,
        "empty": "",
        "with a NUL": f"{valid}\0",
        "half a character": "\ud800",
        "SQL": "' OR true --",
        "SQL of a pattern": "%",
        "an account": str(ann),
        "large": "A" * 900_000,
    }
    answers = {name: await verify(client, token) for name, token in wrong.items()}

    def told(response: httpx2.Response) -> tuple[Any, ...]:
        body = response.json()
        del body["error"]["request_id"]
        return response.status_code, body, "set-cookie" in response.headers

    assert {answer.status_code for answer in answers.values()} == {401}
    [same] = {repr(told(answer)) for answer in answers.values()}
    assert "each is good once" in same
    # None of these attempts has used it up.
    assert (await verify(client, valid)).status_code == 200


async def test_a_link_of_a_deleted_account_makes_no_account(
    client: httpx2.AsyncClient, mailbox: Mailbox, database: Database, database_url: str
) -> None:
    join(database, "ann@example.org")
    token = await link(client, mailbox, "login", "ann@example.org")
    execute(database_url, "DELETE FROM account WHERE email = 'ann@example.org'")

    response = await verify(client, token)

    assert response.status_code == 401
    assert response.json()["error"]["code"] == "link_not_valid"
    assert accounts(database_url) == []


async def test_a_link_is_good_for_fifteen_minutes(
    client: httpx2.AsyncClient, mailbox: Mailbox, database_url: str
) -> None:
    await link(client, mailbox, "register", "ann@example.org")

    [(minutes,)] = fetch(
        database_url, "SELECT extract(epoch FROM expires_at - created_at) / 60 FROM login_link"
    )

    assert minutes == 15


@pytest.mark.parametrize("route", ["register", "login"])
async def test_of_requests_with_one_link_at_a_time_one_wins(
    client: httpx2.AsyncClient,
    mailbox: Mailbox,
    database: Database,
    database_url: str,
    route: str,
) -> None:
    if route == "login":
        join(database, "ann@example.org")
    token = await link(client, mailbox, route, "ann@example.org")

    answers = await asyncio.gather(*(verify(client, token) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7
    assert fetch(database_url, "SELECT kind FROM access_token") == [("session",)]
    assert accounts(database_url) == [("ann@example.org", "user")]


async def test_two_links_of_a_new_address_at_a_time_make_one_account(
    client: httpx2.AsyncClient, mailbox: Mailbox
) -> None:
    tokens = [await link(client, mailbox, "register", "ann@example.org") for _ in range(4)]

    answers = await asyncio.gather(*(verify(client, token) for token in tokens))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["account"]["id"] for answer in answers}) == 1
    assert len({answer.json()["token"] for answer in answers}) == 4


async def test_what_is_stored_of_a_link_is_worth_nothing_with_another_key(
    client: httpx2.AsyncClient, mailbox: Mailbox, mailing: Settings, database_url: str
) -> None:
    token = await link(client, mailbox, "register", "ann@example.org")
    [row] = fetch(database_url, "SELECT CAST(login_link AS text) FROM login_link")
    other_key = mailing.model_copy(update={"secret_key": SecretStr("another key")})

    async with open_client(other_key) as other:
        response = await verify(other, token)

    assert token not in row[0]
    assert response.status_code == 401


async def test_links_that_have_expired_go(
    client: httpx2.AsyncClient, mailbox: Mailbox, database_url: str
) -> None:
    await link(client, mailbox, "register", "ann@example.org")
    execute(database_url, "UPDATE login_link SET expires_at = now() - interval '1 second'")

    await link(client, mailbox, "register", "bob@example.org")

    assert fetch(database_url, "SELECT email FROM login_link") == [("bob@example.org",)]


async def test_links_are_asked_for_so_often_and_then_refused_whether_there_is_an_account_or_not(
    mailing: Settings, mailbox: Mailbox, embedder: Embedder, database: Database
) -> None:
    join(database, "ann@example.org")
    limited = mailing.model_copy(update={"login_requests_per_hour": 3})
    async with open_client(limited) as client:
        statuses = [
            (await client.post("/v1/login", json={"email": email})).status_code
            for email in ("ann@example.org", "ann@example.org", "x@example.org", "y@example.org")
        ]

    assert statuses == [202, 202, 202, 429]


async def test_what_is_refused_to_an_address_uses_up_nothing_of_a_mailbox(
    mailing: Settings, mailbox: Mailbox, embedder: Embedder, database_url: str
) -> None:
    limited = mailing.model_copy(update={"login_requests_per_hour": 2})
    async with open_client(limited) as client:

        async def ask(email: str) -> httpx2.Response:
            return await client.post("/v1/login", json={"email": email})

        flood = [await ask("eve@example.org") for _ in range(2)]
        flood += [await ask("ann@example.org") for _ in range(3)]
        # As if the next ones came from elsewhere.
        execute(database_url, "DELETE FROM rate_limit WHERE count > 2")
        later = await ask("ann@example.org")

    assert [answer.status_code for answer in flood] == [202, 202, 429, 429, 429]
    assert later.status_code == 202
    # Of the address alone: it would tell who else asks for links to a mailbox.
    assert later.headers["RateLimit-Remaining"] == "1"


@pytest.mark.parametrize("failure", ["550", "451", "unreachable", "database"])
async def test_no_failure_shows_in_the_answer_nor_an_address_or_link_in_the_log(
    mailing: Settings,
    mailbox: Mailbox,
    embedder: Embedder,
    database_url: str,
    unused_url: str,
    capsys: pytest.CaptureFixture[str],
    failure: str,
) -> None:
    if failure == "unreachable":
        smtp_url = SecretStr(unused_url.replace("http:", "smtp:").removesuffix("/v1"))
        mailing = mailing.model_copy(update={"smtp_url": smtp_url})
    elif failure == "database":
        execute(database_url, "ALTER TABLE login_link ADD CHECK (email <> 'zebra@example.org')")
    else:
        mailbox.refusing = failure
    async with open_client(mailing) as client:
        await ask(client, "register", "zebra@example.org")

    logged = capsys.readouterr().err
    assert "a mail could not be sent" in logged or "SQLSTATE 23514" in logged
    assert "zebra" not in logged
    assert "token=" not in logged
    assert mailbox.is_empty


async def test_at_a_desk_without_a_mail_server_the_link_is_printed(
    settings: Settings, embedder: Embedder, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = auth_required(settings, port=8123)
    async with open_client(desk) as client:
        await ask(client, "register", "ann@example.org")
        await ask(client, "login", "zebra@example.org")
    printed = capsys.readouterr().err
    async with open_client(desk) as client:
        response = await verify(client, token_in(printed))

    assert "To: ann@example.org\n" in printed
    assert "http://127.0.0.1:8123/login?token=" in printed
    assert "zebra" not in printed
    assert response.status_code == 200


async def test_production_without_a_mail_server_says_so_and_prints_nothing(
    settings: Settings,
    embedder: Embedder,
    database: Database,
    capsys: pytest.CaptureFixture[str],
) -> None:
    join(database, "ann@example.org")
    production = auth_required(settings, environment=Environment.PRODUCTION)
    async with open_client(production) as client:
        answers = [
            await client.post(f"/v1/{route}", json={"email": email})
            for route in ("register", "login")
            for email in ("ann@example.org", "nobody@example.org")
        ]
    logged = capsys.readouterr().err

    assert {answer.status_code for answer in answers} == {503}
    assert all("SMTP_URL" in answer.text for answer in answers)
    assert "SMTP_URL is not set: nobody can log in by mail" in logged
    assert "token" not in logged


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("register", {"email": "ann@example.org"}),
        ("login", {"email": "ann@example.org"}),
        ("login/verify", {"token": "A" * 43}),
    ],
)
async def test_while_auth_is_off_nobody_logs_in(
    api: httpx2.AsyncClient, route: str, body: dict[str, str]
) -> None:
    response = await api.post(f"/v1/{route}", json=body)

    assert response.status_code == 409
    assert "AUTH is off" in response.json()["detail"]
