"""CORS: pages of the named origins may call the API, and read what it answers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from settings import Auth, Settings
from tests.support import execute, open_client
from tests.upstream import Upstream, chunk, sse

PAGE = "https://app.example:8443"
FROM_PAGE = {"origin": PAGE}
FROM_ELSEWHERE = {"origin": "https://evil.example"}
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization, content-type, x-csrf-token, idempotency-key",
}


def allowing(settings: Settings, *origins: str, **changes: Any) -> Settings:
    return settings.model_copy(update={"cors_origins": list(origins), **changes})


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with open_client(allowing(settings, PAGE, "https://other.example")) as client:
        yield client


def listed(response: httpx2.Response, header: str) -> set[str]:
    return {name.strip() for name in response.headers[header].lower().split(",")}


async def test_a_page_reads_answers_with_its_cookies(client: httpx2.AsyncClient) -> None:
    response = await client.get("/healthcheck", headers=FROM_PAGE)

    assert response.headers["access-control-allow-origin"] == PAGE
    assert response.headers["access-control-allow-credentials"] == "true"
    assert "origin" in listed(response, "vary")
    assert listed(response, "access-control-expose-headers") == {
        "link",
        "location",
        "idempotent-replayed",
        "x-request-id",
        "ratelimit-limit",
        "ratelimit-remaining",
        "ratelimit-reset",
        "retry-after",
    }


async def test_a_preflight_is_answered_before_anybody_is_asked_who_they_are(
    settings: Settings,
) -> None:
    required = allowing(settings, PAGE, auth=Auth.REQUIRED, requests_per_minute=1)
    async with open_client(required) as client:
        preflights = [
            await client.options("/v1/qa-create", headers=FROM_PAGE | PREFLIGHT) for _ in range(20)
        ]

    for preflight in preflights:
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == PAGE
        assert preflight.headers["access-control-allow-credentials"] == "true"
        assert {"get", "post", "patch", "delete"} <= listed(
            preflight, "access-control-allow-methods"
        )
        assert {
            "authorization",
            "content-type",
            "x-csrf-token",
            "idempotency-key",
            "last-event-id",
            "mcp-protocol-version",
            "mcp-method",
            "mcp-name",
        } <= listed(preflight, "access-control-allow-headers")


async def test_other_origins_may_not_read(client: httpx2.AsyncClient) -> None:
    preflight = await client.options("/v1/qa-create", headers=FROM_ELSEWHERE | PREFLIGHT)
    response = await client.get("/healthcheck", headers=FROM_ELSEWHERE)

    assert preflight.status_code == 400
    assert "access-control-allow-origin" not in preflight.headers
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "origin", ["https://app.example", "http://app.example:8443", f"{PAGE}.evil.example", "null"]
)
async def test_what_is_almost_the_origin_is_another(
    client: httpx2.AsyncClient, origin: str
) -> None:
    response = await client.get("/healthcheck", headers={"origin": origin})

    assert "access-control-allow-origin" not in response.headers


async def test_a_page_reads_errors(settings: Settings, database_url: str) -> None:
    limited = allowing(settings, PAGE, requests_per_minute=3, max_body_bytes=1_000)
    async with open_client(limited) as client:
        large = await client.post("/v1/qa-create", headers=FROM_PAGE, json={"message": "x" * 2000})
        missing = await client.get("/v1/nothing", headers=FROM_PAGE)
        invalid = await client.get("/v1/messages?limit=x", headers=FROM_PAGE)
        execute(database_url, "ALTER TABLE message ADD CHECK (role <> 'user') NOT VALID")
        # The server hangs up after it, as it does after every unexpected error.
        broken = await client.post("/v1/completion", headers=FROM_PAGE, json={"message": "Hi"})
        execute(database_url, "UPDATE rate_limit SET count = 100")
        limited_now = await client.get("/v1/messages", headers=FROM_PAGE)

    answers = [large, missing, invalid, broken, limited_now]
    assert [answer.status_code for answer in answers] == [413, 404, 422, 500, 429]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["access-control-allow-credentials"] == "true"


async def test_a_page_reads_that_it_must_log_in(settings: Settings) -> None:
    async with open_client(allowing(settings, PAGE, auth=Auth.REQUIRED)) as client:
        response = await client.get("/v1/messages", headers=FROM_PAGE)

    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == PAGE


async def test_streams_are_not_held_back(upstream_settings: Settings, upstream: Upstream) -> None:
    upstream.behave = upstream.says(sse(chunk("first")), then_hang=True)
    async with (
        open_client(allowing(upstream_settings, PAGE)) as client,
        asyncio.timeout(20),
        client.stream(
            "POST", "/v1/completion-stream", json={"message": "Hi"}, headers=FROM_PAGE
        ) as response,
    ):
        assert response.headers["access-control-allow-origin"] == PAGE
        async for piece in response.aiter_text():
            if "first" in piece:
                break


async def test_any_origin_may_read_but_sends_no_cookies(settings: Settings) -> None:
    async with open_client(allowing(settings, "*")) as client:
        response = await client.get("/healthcheck", headers=FROM_ELSEWHERE)
        preflight = await client.options("/v1/qa-create", headers=FROM_ELSEWHERE | PREFLIGHT)

    for answer in (response, preflight):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


async def test_without_origins_nothing_is_allowed(api: httpx2.AsyncClient) -> None:
    response = await api.get("/healthcheck", headers=FROM_PAGE)
    preflight = await api.options("/v1/qa-create", headers=FROM_PAGE | PREFLIGHT)

    assert not [name for name in response.headers if name.startswith("access-control")]
    assert "vary" not in response.headers
    assert preflight.status_code == 405
