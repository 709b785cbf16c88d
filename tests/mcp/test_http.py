"""Who may call `/mcp`, and what becomes of those who may not."""

import asyncio
import logging
from typing import Any

import httpx2
import pytest
from mcp.shared.exceptions import MCPError

from app.accounts.sessions import Session
from app.core.database import Database
from app.main import create_app
from settings import Settings
from tests.accounts.people import auth_required, bearer, new_token, open_page
from tests.conftest import Ingest
from tests.mcp.clients import MODES, connect, open_tools, text_of
from tests.serving import serve
from tests.support import eventually, execute, open_client
from tests.upstream import Upstream

ACCEPT = {"Accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
QUESTION = {"question": "When does the ferry leave?"}


async def _post(client: httpx2.AsyncClient, **headers: str) -> httpx2.Response:
    return await client.post("/mcp", json=LIST, headers=ACCEPT | headers)


async def test_without_a_token_it_says_how_to_send_one(people_api: httpx2.AsyncClient) -> None:
    response = await _post(people_api)

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    error = response.json()["error"]
    assert error["message"] == "Send a valid token: `Authorization: Bearer …`."
    assert error["data"]["code"] == "unauthorized"
    assert error["data"]["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize("mode", MODES)
async def test_clients_show_why_they_were_refused(secured: Settings, mode: str) -> None:
    async with serve(create_app(secured)) as url:
        with pytest.raises(MCPError, match="Send a valid token"):
            async with connect(url, mode=mode, headers=bearer("guess")):
                pass


async def test_a_cookie_alone_is_no_token(secured: Settings, session: Session) -> None:
    """The browser would send it along for any page."""
    async with open_page(secured, session) as page:
        assert (await _post(page)).status_code == 403
        assert (await _post(page, **{"X-CSRF-Token": session.csrf_token})).status_code == 200


async def test_a_token_sees_and_does_what_its_scopes_allow(
    secured: Settings, session: Session
) -> None:
    async with serve(create_app(secured)) as url:
        async with httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
            reading = await new_token(client, session, "read")
            asking = await new_token(client, session, "ask")
        async with connect(url, headers=bearer(reading["token"])) as tools:
            assert [tool.name for tool in (await tools.list_tools()).tools] == [
                "search",
                "list_sources",
                "get_document",
            ]
            refused = await tools.call_tool("ask", QUESTION)
        async with connect(url, headers=bearer(asking["token"])) as tools:
            assert [tool.name for tool in (await tools.list_tools()).tools] == ["ask"]
            also_refused = await tools.call_tool("search", {"query": "ferry"})

    assert text_of(refused) == "This token lacks the scope ask."
    assert text_of(also_refused) == "This token lacks the scope read."


async def test_requests_are_counted_as_all_others(secured: Settings, session: Session) -> None:
    limited = secured.model_copy(update={"requests_per_minute": 2})
    async with open_client(limited) as client:
        responses = [await _post(client, **bearer(session.token)) for _ in range(3)]

    assert [response.status_code for response in responses] == [200, 200, 429]
    assert responses[0].headers["RateLimit-Remaining"] == "1"
    assert responses[2].headers["Retry-After"]
    assert responses[2].json()["error"]["data"]["code"] == "too_many_requests"


async def test_a_question_needs_some_of_the_days_tokens(
    upstream_settings: Settings, session: Session, database: Database, ingest: Ingest
) -> None:
    execute(database.url, "UPDATE source SET visibility = 'shared'")
    await ingest({"ferry.md": "# Ferry\n\nThe ferry leaves at seven in the morning.\n"})
    limited = auth_required(upstream_settings, tokens_per_day=5)
    async with open_tools(limited, headers=bearer(session.token)) as tools:
        first = await tools.call_tool("ask", QUESTION)
        second = await tools.call_tool("ask", QUESTION)
        search = await tools.call_tool("search", {"query": "ferry"})

    assert not first.is_error
    assert text_of(second).startswith("The tokens of the day are used up.")
    assert not search.is_error


async def test_pages_of_other_sites_are_refused(settings: Settings) -> None:
    named = settings.model_copy(
        update={"public_url": "https://brag.example", "cors_origins": ["https://app.example"]}
    )
    async with open_client(named) as client:

        async def status(**headers: str) -> int:
            return (await _post(client, **headers)).status_code

        assert await status(Origin="https://brag.example") == 200
        assert await status(Origin="https://app.example") == 200
        assert await status(Origin="http://localhost:5173") == 200
        assert await status(Origin="https://evil.example") == 403
        assert await status(Origin="https://brag.example.evil.example") == 403
        assert await status(Origin="http://localhost.evil.example") == 403
        assert await status(Origin="null") == 403
        # The names that a page's own DNS gives to 127.0.0.1.
        assert await status(Host="evil.example:8000") == 403
        assert await status(Host="localhost:8000") == 200
        assert await status(Host="[::1]:8000") == 200
        assert await status(Host="brag.example") == 200
        refused = await _post(client, Host="evil.example")
    assert "PUBLIC_URL" in refused.json()["error"]["message"]


async def test_a_server_for_others_may_have_any_name(
    settings: Settings, secured: Settings, session: Session
) -> None:
    for served in (settings.model_copy(update={"host": "0.0.0.0"}), secured):
        async with open_client(served) as client:
            answer = await _post(client, Host="api:8000", **bearer(session.token))
            page = await _post(client, Origin="http://evil.example", **bearer(session.token))
        assert answer.status_code == 200
        assert page.status_code == 403


async def test_other_methods_and_bodies_are_refused(api: httpx2.AsyncClient) -> None:
    assert (await api.get("/mcp")).status_code == 405
    assert (await api.delete("/mcp")).status_code == 405
    large = await api.post("/mcp", json={**LIST, "params": "x" * 1_000_001}, headers=ACCEPT)
    assert large.status_code == 413
    assert large.json()["error"]["data"]["code"] == "payload_too_large"
    for body in (b"", b"{", b"[]", b"[" * 100_000, b'{"jsonrpc":"2.0","id":1}', b"\xff"):
        for version in ("2025-06-18", "2026-07-28", "1999-01-01"):
            headers = {
                **ACCEPT,
                "Content-Type": "application/json",
                "MCP-Protocol-Version": version,
            }
            response = await api.post("/mcp", content=body, headers=headers)
            assert 400 <= response.status_code < 500, (body[:20], version, response.text)
            assert "Traceback" not in response.text


@pytest.mark.parametrize("mode", MODES)
async def test_whoever_leaves_ends_the_call_to_the_language_model(
    upstream_settings: Settings, upstream: Upstream, ingest: Ingest, mode: str
) -> None:
    await ingest({"ferry.md": "# Ferry\n\nThe ferry leaves at seven in the morning.\n"})
    # An answer that has begun and does not go on.
    upstream.behave = upstream.says(" ", then_hang=True)
    async with open_tools(upstream_settings, mode=mode) as tools:
        asking = asyncio.create_task(tools.call_tool("ask", QUESTION))

        async def asked() -> bool:
            return bool(upstream.requests)

        await eventually(asked)
        asking.cancel()
        if mode == "auto":
            await asyncio.wait_for(upstream.stream_ended.wait(), 10)
    # Clients of the older protocol only leave when their connection does.
    await asyncio.wait_for(upstream.stream_ended.wait(), 10)


async def test_a_tool_call_has_a_line_in_the_log(
    api: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(str(api.base_url).rstrip("/")) as tools:
        with caplog.at_level(logging.INFO):
            await tools.call_tool("search", {"query": "ferry"})
            await tools.call_tool("search", {"query": ""})

    lines: list[Any] = [record for record in caplog.records if record.name == "app.mcp"]
    assert [(line.getMessage(), line.error) for line in lines] == [
        ("tool search", None),
        ("tool search", "invalid_request"),
    ]
    assert "ferry" not in caplog.text
