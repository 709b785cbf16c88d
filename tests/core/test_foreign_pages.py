"""What pages of other sites can't do to a server on a desk, where nobody is asked who they are."""

from typing import Any

import httpx2
import pytest

from settings import Auth, Settings
from tests.support import open_client

FILE = {"files": ("evil.md", b"# Evil", "text/markdown")}


def code_of(response: httpx2.Response) -> str:
    return str(response.json()["error"]["code"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/healthcheck"),
        ("GET", "/v1/documents"),
        ("GET", "/v1/messages"),
        ("POST", "/v1/completion"),
        ("POST", "/mcp"),
        ("GET", "/nothing"),
    ],
)
async def test_a_name_that_a_page_has_rebound_to_this_machine_is_answered_nothing(
    api: httpx2.AsyncClient, method: str, path: str
) -> None:
    headers = {"host": "evil.example:8000", "origin": "http://evil.example:8000"}

    response = await api.request(method, path, headers=headers, json={"message": "Hi"})

    assert response.status_code == 403
    assert code_of(response) == "untrusted_host"
    assert "PUBLIC_URL" in response.json()["detail"]
    assert response.headers["x-request-id"]
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_names_of_this_machine_and_the_public_one_are_answered(settings: Settings) -> None:
    public = settings.model_copy(update={"public_url": "https://brag.example"})
    async with open_client(public) as client:
        for host in (
            "localhost:1234",
            "127.0.0.1",
            "127.0.0.1:5",
            "[::1]:8000",
            "LOCALHOST",
            "brag.example",
        ):
            response = await client.get("/v1/messages", headers={"host": host})
            assert response.status_code == 200, host


async def test_a_server_that_others_reach_or_that_asks_for_tokens_may_have_any_name(
    settings: Settings,
) -> None:
    for changes in ({"host": "0.0.0.0"}, {"auth": Auth.REQUIRED}):
        async with open_client(settings.model_copy(update=changes)) as client:
            response = await client.get("/healthcheck", headers={"host": "api:8000"})
            assert response.status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_a_page_of_another_site_can_change_nothing(settings: Settings, host: str) -> None:
    async with open_client(settings.model_copy(update={"host": host})) as client:
        for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example"):
            headers = {"origin": origin}

            # As a form or `fetch` with `no-cors` sends it: without a preflight.
            upload = await client.post("/v1/documents", headers=headers, files=FILE)
            text = await client.post("/v1/completion", headers=headers, content='{"message": "Hi"}')

            assert (upload.status_code, text.status_code) == (403, 403)
            assert code_of(upload) == code_of(text) == "untrusted_origin"
            assert "CORS_ORIGINS" in upload.json()["detail"]
        documents = (await client.get("/v1/documents")).json()
        messages = (await client.get("/v1/messages")).json()
    assert (documents, messages) == ([], [])


@pytest.mark.parametrize(
    ("origin", "changes"),
    [
        (None, {}),
        ("http://localhost:5173", {}),
        ("https://app.example", {"cors_origins": ["https://app.example"]}),
        ("https://app.example", {"cors_origins": ["*"]}),
        ("https://brag.example", {"public_url": "https://brag.example"}),
        ("its own", {}),
        ("its own", {"host": "0.0.0.0"}),
    ],
)
async def test_a_page_of_ours_or_of_a_named_site_can(
    settings: Settings, origin: str | None, changes: dict[str, Any]
) -> None:
    async with open_client(settings.model_copy(update=changes)) as client:
        own = str(client.base_url).rstrip("/")
        headers = {} if origin is None else {"origin": own if origin == "its own" else origin}

        response = await client.post("/v1/documents", headers=headers, files=FILE)

    assert response.is_success, response.text
