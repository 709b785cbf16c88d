"""No secret is written down: not where it is used, not where that fails, not at start-up."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx2
import pytest

from app.accounts.sessions import Session
from app.core.database import Database
from settings import ROOT, Settings
from tests.accounts.mailbox import open_mailbox, token_in
from tests.accounts.people import bearer, join, log_in, new_token
from tests.processes import environment, run_app, running
from tests.support import eventually, execute, fetch
from tests.upstream import Upstream

# Every configured secret has this word in it.
SECRET = "zebra"
SECRET_KEY = f"{SECRET}-key-of-32-characters-or-more"
TEXT_COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND data_type IN ('text', 'jsonb', 'json', 'character varying')
"""


@pytest.fixture
def configured(database_url: str, upstream: Upstream, unused_url: str) -> dict[str, str]:
    """A secret in every setting that can hold one; who is called with it answers with failures."""
    host = urlsplit(unused_url).netloc
    return {
        "ENVIRONMENT": "production",
        "AUTH": "required",
        "LOG_LEVEL": "DEBUG",
        "REQUESTS_PER_MINUTE": "0",
        "PUBLIC_URL": "https://brag.example",
        "SECRET_KEY": SECRET_KEY,
        "DATABASE_URL": database_url,
        "OPENAI_BASE_URL": upstream.url,
        "OPENAI_API_KEY": f"sk-{SECRET}",
        "SENTRY_DSN": f"http://{SECRET}@{host}/1",
        "GITHUB_API_URL": f"http://{host}",
        "SOURCE_TOKENS": f"work@127.0.0.1=ghp_{SECRET}",
    }


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


@contextlib.asynccontextmanager
async def working(var_dir: Path, log: Path, variables: dict[str, str]) -> AsyncIterator[None]:
    """Run a worker, too."""
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "app.worker"],
            cwd=ROOT,
            env=environment(var_dir, **variables),
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        worker.terminate()
        await asyncio.to_thread(worker.wait, 30)


async def test_no_secret_is_in_a_log_or_a_table_whatever_is_done_with_it(
    database: Database,
    settings: Settings,
    configured: dict[str, str],
    upstream: Upstream,
    tmp_path: Path,
) -> None:
    logs = [tmp_path / "api.log", tmp_path / "worker.log"]
    upstream.behave = upstream.sends({"error": {"message": f"bad key sk-{SECRET}"}})
    secured = Settings(secret_key=SECRET_KEY)
    session = log_in(database, secured, join(database, "ann@example.org"))
    async with (
        open_mailbox() as mailbox,
        running(
            settings.var_dir,
            "app",
            "serve",
            log=logs[0],
            SMTP_URL=f"smtp://ann:{SECRET}@127.0.0.1:{mailbox.port}",
            **configured,
        ) as (client, _),
        working(settings.var_dir, logs[1], configured),
    ):
        speaker = Speaker(client, session)
        api_token = (await new_token(client, session, "read", "ask", "ingest"))["token"]

        await client.post("/v1/login", json={"email": "ann@example.org"})
        _, mail = await mailbox.receive()
        link = token_in(mail.get_content())
        for token in (session.token, api_token, link, "a-guess-of-somebody"):
            await speaker.everywhere(token)
        await speaker.brokenly(client.base_url.port or 80, api_token)
        mailbox.refusing = "550"
        await client.post("/v1/login", json={"email": "ann@example.org"})

        config = {"kind": "github", "repository": "a/b", "token_name": "work"}
        headers = bearer(api_token)
        source = await client.post("/v1/sources", json={"config": config}, headers=headers)
        assert source.status_code == 201, source.text

        async def failed() -> bool:
            runs = (await client.get("/v1/ingestions", headers=headers)).json()
            return [run["state"] for run in runs] == ["failed"]

        await eventually(failed, within=60)
        # An unexpected error, with its traceback, while all of that is at hand.
        execute(database.url, "ALTER TABLE message RENAME TO gone")
        answer = await client.post("/v1/completion", json={"message": "Hi"}, headers=headers)
        assert answer.status_code == 500
        execute(database.url, "ALTER TABLE gone RENAME TO message")

    written = "".join(log.read_text() for log in logs)
    assert "Exception in ASGI application" in written
    assert "POST /v1/login/verify" in written
    assert [secret for secret in (SECRET, *speaker.spoken) if secret in written] == []
    stored = everything_in(database.url)
    assert "ann@example.org" in stored
    assert [secret for secret in (SECRET, *speaker.spoken) if secret in stored] == []


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
