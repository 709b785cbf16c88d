"""No secret is written down: not where it is used, not where that fails, not at start-up."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx2
import pytest
import sentry_sdk
from anyio import to_thread
from pydantic import SecretStr

from app.accounts.sessions import Session
from app.core.database import Database
from app.knowledge.embedding import Embedder
from app.knowledge.exceptions import SourceUnavailable
from settings import Settings
from tests.accounts.mailbox import open_mailbox, token_in
from tests.accounts.people import bearer, join, log_in, new_token
from tests.processes import run_app
from tests.runs import Runs, open_runs
from tests.support import execute, fetch, open_client
from tests.upstream import Upstream

# Every configured secret has this word in it.
SECRET = "zebra"
SECRET_KEY = f"{SECRET}-key-of-32-characters-or-more"
TEXT_COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND data_type IN ('text', 'jsonb', 'json', 'character varying')
"""


@pytest.fixture
def configured(settings: Settings, upstream: Upstream, unused_url: str) -> Settings:
    """A secret in every setting that can hold one; who is called with it answers with failures."""
    host = urlsplit(unused_url).netloc
    assert settings.database_url is not None
    return Settings(
        var_dir=settings.var_dir,
        environment="production",
        auth="required",
        log_level="DEBUG",
        requests_per_minute=0,
        public_url="https://brag.example",
        secret_key=SECRET_KEY,
        database_url=settings.database_url.get_secret_value(),
        openai_base_url=upstream.url,
        openai_api_key=f"sk-{SECRET}",
        sentry_dsn=f"http://{SECRET}@{urlsplit(upstream.url).netloc}/1",
        github_api_url=f"http://{host}",
        source_tokens=f"work@127.0.0.1=ghp_{SECRET}",
    )


@pytest.fixture(autouse=True)
def _nothing_is_reported_afterwards() -> Iterator[None]:
    """Sentry's client belongs to the whole process."""
    yield
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


class Speaker:
    """Sends requests that have a secret wherever there can be one."""

    def __init__(self, client: httpx2.AsyncClient, session: Session) -> None:
        self.client = client
        self.session = session
        self.spoken = [session.token, session.csrf_token]

    async def everywhere(self, token: str) -> None:
        """Send a token as header, cookie, query and body."""
        self.spoken.append(token)
        cookie = {"Cookie": f"brag_session={token}", "X-CSRF-Token": self.session.csrf_token}
        for headers in (bearer(token), cookie, {"Authorization": token}):
            for method, path in (("GET", "/v1/me"), ("GET", "/v1/nothing"), ("PUT", "/v1/me")):
                await self.client.request(method, path, headers=headers)
            await self.client.post("/v1/completion", json={"message": "Hi"}, headers=headers)
        await self.client.get("/login", params={"token": token})
        await self.client.get("/v1/messages", params={"cursor": token, "token": token})
        await self.client.post("/v1/login/verify", json={"token": token})
        await self.client.post("/v1/login/verify", content=f'{{"token": "{token}"')
        if token.startswith("brag"):
            await self.client.delete(f"/v1/tokens/{token}", headers=bearer(self.session.token))

    async def brokenly(self, port: int, token: str) -> None:
        """Send it in what is no HTTP."""
        for request in (
            f"GET /login?token={token} HTTP/1.1\r\nAuthorization Bearer {token}\r\n\r\n",
            f"GET / HTTP/1.1\r\nAuthorization: Bearer {token * 1_000}\r\n\r\n",
            f"Bearer {token}\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request.encode())
            answer = await asyncio.wait_for(reader.read(), 10)
            assert answer.startswith(b"HTTP/1.1 4")
            assert token.encode() not in answer
            writer.close()


async def test_no_secret_is_in_a_log_or_a_table_whatever_is_done_with_it(
    database: Database,
    configured: Settings,
    embedder: Embedder,
    upstream: Upstream,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    upstream.behave = upstream.sends({"error": {"message": f"bad key sk-{SECRET}"}})
    session = log_in(database, configured, join(database, "ann@example.org", role="admin"))
    async with open_mailbox() as mailbox:
        smtp = SecretStr(f"smtp://ann:{SECRET}@127.0.0.1:{mailbox.port}")
        settings = configured.model_copy(update={"smtp_url": smtp})
        async with open_client(settings) as client:
            speaker = Speaker(client, session)
            api_token = (await new_token(client, session, "read", "ask", "ingest", "admin"))[
                "token"
            ]
            headers = bearer(api_token)

            await client.post("/v1/login", json={"email": "ann@example.org"})
            _, mail = await mailbox.receive()
            link = token_in(mail.get_content())
            for token in (session.token, api_token, link, "a-guess-of-somebody"):
                await speaker.everywhere(token)
            await speaker.brokenly(client.base_url.port or 80, api_token)
            mailbox.refusing = "550"
            await client.post("/v1/login", json={"email": "ann@example.org"})

            config = {"kind": "github", "repository": "a/b", "token_name": "work"}
            source = await client.post("/v1/sources", json={"config": config}, headers=headers)
            assert source.status_code == 201, source.text
            with open_runs(database, embedder, settings, tmp_path / "documents") as runs:
                await to_thread.run_sync(list_in_vain, runs, source.json()["ingestion"]["id"])

            # An unexpected error, with its traceback, while all of that is at hand.
            execute(database.url, "ALTER TABLE message RENAME TO gone")
            answer = await client.post("/v1/completion", json={"message": "Hi"}, headers=headers)
            assert answer.status_code == 500
            execute(database.url, "ALTER TABLE gone RENAME TO message")

    printed = capfd.readouterr()
    written = printed.out + printed.err
    assert "Exception in ASGI application" in written
    assert "POST /v1/login/verify" in written
    assert "the list failed" in written
    assert [secret for secret in (SECRET, *speaker.spoken) if secret in written] == []
    stored = everything_in(database.url)
    assert "ann@example.org" in stored
    assert [secret for secret in (SECRET, *speaker.spoken) if secret in stored] == []


def list_in_vain(runs: Runs, ingestion_id: str) -> None:
    """List a source at a server that does not answer, as a worker does."""
    with pytest.raises(SourceUnavailable) as failure:
        runs.steps.list_source(ingestion_id)
    logging.getLogger("app.worker").warning("the list failed", exc_info=failure.value)


def everything_in(url: str) -> str:
    """Return all texts of a database."""
    return "\n".join(
        str(row)
        for table, column in fetch(url, TEXT_COLUMNS)
        for row in fetch(url, f'SELECT "{column}" FROM "{table}"')
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"DATABASE_URL": f"postgres://brag:{SECRET}@127.0.0.1:1/brag"},
        {"DATABASE_URL": f"postgres://brag:{SECRET}[@127.0.0.1/brag"},
        {"DATABASE_URL": f"mysql://brag:{SECRET}@127.0.0.1/brag"},
        {"SMTP_URL": f"smtp://ann:{SECRET}/x@mail.example:99999"},
        {"SENTRY_DSN": f"https://{SECRET}/nothing"},
        {"SOURCE_TOKENS": f"no-host={SECRET}"},
        {"SECRET_KEY": SECRET, "ENVIRONMENT": "production", "AUTH": "required"},
        {"QDRANT_API_KEY": SECRET, "QDRANT_URL": "http://127.0.0.1:1"},
    ],
    ids="-".join,
)
def test_what_keeps_it_from_starting_is_told_without_the_secret(
    settings: Settings, database_url: str, wrong: dict[str, str]
) -> None:
    variables = {"DATABASE_URL": database_url, "LOG_LEVEL": "DEBUG"} | wrong

    done = run_app(settings.var_dir, "status", **variables)

    told = done.stdout + done.stderr
    assert told
    assert SECRET not in told
    assert quote(SECRET) not in told


async def test_a_wrong_password_of_the_database_is_not_told(
    settings: Settings, database_url: str
) -> None:
    url = urlsplit(database_url)
    host = url.netloc.rpartition("@")[2]
    wrong = url._replace(netloc=f"nobody:{SECRET}@{host}").geturl()

    done = run_app(settings.var_dir, "status", DATABASE_URL=wrong)

    assert done.returncode == 1
    assert SECRET not in done.stdout + done.stderr
