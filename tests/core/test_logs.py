"""Logs: readable at a desk, parseable in production, and silent about what people write."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.accounts.models import LOCAL_ACCOUNT
from app.accounts.tokens import API_PREFIX, hash_token, new_token
from app.core.logs import configure_logs, request_id
from settings import Settings
from tests.conftest import Ingest
from tests.processes import GUNICORN, running
from tests.support import eventually, execute
from tests.upstream import Upstream, chunk, sse

# Every text that must stay out of logs has this word in it.
SECRET = "zebra"
KEY = f"sk-{SECRET}-key"
SECRET_KEY = f"{SECRET}, and 32 characters at the least"
REQUEST_ID = "order-7"
DISK_FULL = """
CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END$$;
CREATE TRIGGER disk_full BEFORE INSERT ON message
    FOR EACH ROW WHEN (NEW.role = 'assistant') EXECUTE FUNCTION disk_full();
"""


@pytest.fixture
def served(settings: Settings, upstream: Upstream) -> dict[str, str]:
    assert settings.database_url is not None
    return {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "OPENAI_BASE_URL": upstream.url,
        "OPENAI_API_KEY": KEY,
        "LOG_LEVEL": "INFO",
    }


@pytest.fixture
def production(served: dict[str, str]) -> dict[str, str]:
    return served | {
        "ENVIRONMENT": "production",
        "AUTH": "required",
        "SECRET_KEY": SECRET_KEY,
    }


def token_of_the_local_account(url: str) -> str:
    token = new_token(API_PREFIX)
    hashed = hash_token(Settings(secret_key=SecretStr(SECRET_KEY)), token).hex()
    execute(
        url,
        "INSERT INTO access_token (account_id, kind, token_hash, hint, scopes)"
        f" VALUES ('{LOCAL_ACCOUNT}', 'api', '\\x{hashed}', '', '{{ask}}')",
    )
    return token


def entries(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_bytes().splitlines()]


async def test_in_production_every_line_is_an_object_and_requests_have_their_id(
    settings: Settings, production: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with running(settings.var_dir, "app", "serve", log=log, **production) as (client, _):
        await client.get("/v1/nothing", headers={"x-request-id": REQUEST_ID})

    lines = entries(log)
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    [request] = [line for line in lines if line.get("request_id") == REQUEST_ID]
    assert request["message"] == "GET /v1/nothing"
    assert request["status"] == 404
    assert request["ms"] >= 0


async def test_gunicorn_logs_objects_in_production_too(
    settings: Settings, production: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with running(settings.var_dir, *GUNICORN, log=log, WORKERS="1", **production):
        pass

    assert {"gunicorn.error", "uvicorn.error"} <= {line["logger"] for line in entries(log)}


@pytest.mark.parametrize("environment", ["served", "production"])
async def test_no_text_and_no_key_is_logged_whatever_fails(
    environment: str,
    ingest: Ingest,
    settings: Settings,
    upstream: Upstream,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    await ingest({"a.md": f"# Animals\n\nThe {SECRET} has stripes.\n"})
    log = tmp_path / "log"
    variables: dict[str, str] = request.getfixturevalue(environment)
    url = variables["DATABASE_URL"]
    headers = {"authorization": f"Bearer {token_of_the_local_account(url)}"}
    # An answer that can't be stored counts as in the making for a moment longer.
    unlimited = {"REQUESTS_PER_MINUTE": "0", "CONCURRENT_GENERATIONS": "0"}
    async with running(settings.var_dir, "app", "serve", log=log, **unlimited, **variables) as (
        client,
        _,
    ):

        async def ask(path: str) -> str:
            response = await client.post(
                path, json={"message": f"What has a {SECRET}?"}, headers=headers
            )
            return response.text

        async def found() -> bool:
            return "stripes" in await ask("/v1/qa-create")

        async def everywhere() -> list[str]:
            paths = ("completion", "completion-stream", "qa-create", "qa-stream")
            return [await ask(f"/v1/{path}") for path in paths]

        await eventually(found)
        upstream.behave = upstream.answers(f"A {SECRET}", " has stripes. [1]")
        assert all("stripes" in text for text in await everywhere())

        refusal = {"error": {"message": f"bad key {KEY} for the {SECRET}"}}
        for failing in (
            upstream.refuses(401),
            upstream.sends(refusal),
            upstream.says(sse(chunk(f"A {SECRET}")), f"data: {{broken {SECRET}\n\n"),
            upstream.says(sse(chunk(f"A {SECRET}")), sse(refusal)),
        ):
            upstream.behave = failing
            assert all("OpenAI call failed" in text for text in await everywhere())

        upstream.behave = upstream.answers(f"A {SECRET}")
        execute(url, DISK_FULL)
        assert all("Post processing failed" in text for text in await everywhere())
        execute(url, "DROP TRIGGER disk_full ON message")
        # PostgreSQL quotes the rows that it refuses.
        execute(url, "ALTER TABLE message ADD CHECK (role <> 'assistant') NOT VALID")
        assert all("Post processing failed" in text for text in await everywhere())
        execute(url, "ALTER TABLE message ADD CHECK (role <> 'user') NOT VALID")
        assert all("Something went wrong on our side." in text for text in await everywhere())

    logged = log.read_text()
    assert "an answer could not be stored" in logged
    assert "Exception in ASGI application" in logged
    assert "DiskFull" in logged
    assert "SQLSTATE 23514" in logged
    assert SECRET not in logged
    assert headers["authorization"] not in logged


def test_at_a_desk_a_line_is_short_and_has_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="INFO", as_json=False)

    logging.getLogger("app.anything").info("GET %s", "/health", extra={"status": 200})

    clock, rest = capsys.readouterr().err.split(" ", 1)
    assert len(clock.split(":")) == 3
    assert rest == "info    GET /health status=200\n"


def test_what_would_break_a_line_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="INFO", as_json=True)
    request_id.set(REQUEST_ID)
    message = "two\nlines\r\u2028and \x85 half a pair: \ud83d"

    try:
        int(message)
    except ValueError:
        logging.getLogger("app.anything").exception(message, extra={"path": Path("/x")})

    [line] = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry["message"] == message
    assert entry["level"] == "error"
    assert entry["path"] == "/x"
    assert entry["request_id"] == REQUEST_ID
    assert "ValueError" in entry["exception"]


def test_the_level_holds_for_libraries_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="ERROR", as_json=False)

    logging.getLogger("openai").info("Retrying request")
    logging.getLogger("httpx2").warning("anything")
    logging.getLogger("app.anything").warning("anything")

    assert capsys.readouterr().err == ""
