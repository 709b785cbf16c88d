"""What every response tells a browser not to do with it."""

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from app.core.security_headers import default_headers, secure_responses
from settings import Settings
from tests.serving import serve
from tests.support import execute, open_client

ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
NOTHING_ALLOWED = "default-src 'none'; frame-ancestors 'none'"


def assert_secured(response: httpx2.Response) -> None:
    """Check the headers that nothing may lack."""
    assert {name: response.headers.get(name) for name in ALWAYS} == ALWAYS
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert "geolocation=()" in response.headers["permissions-policy"]
    assert "server" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/v1/messages", 200),
        ("GET", "/v1/nothing", 404),
        ("PUT", "/health", 405),
        ("POST", "/v1/completion", 422),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
    ],
)
async def test_every_response_is_secured_and_stored_by_no_cache(
    api: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await api.request(method, path)

    assert response.status_code == status
    assert_secured(response)
    assert response.headers["content-security-policy"] == NOTHING_ALLOWED
    assert response.headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in response.headers


async def test_an_unexpected_error_is_secured_too(settings: Settings, database_url: str) -> None:
    async with open_client(settings) as client:
        execute(database_url, "DROP TABLE message CASCADE")
        response = await client.post("/v1/completion", json={"message": "Hi"})

    assert response.status_code == 500
    assert_secured(response)


async def test_pages_of_allowed_origins_read_answers_all_the_same(settings: Settings) -> None:
    origin = {"Origin": "https://app.example"}
    asks = origin | {"Access-Control-Request-Method": "POST"}
    async with open_client(
        settings.model_copy(update={"cors_origins": ["https://app.example"]})
    ) as client:
        answer = await client.get("/health", headers=origin)
        preflight = await client.options("/v1/search", headers=asks)

    for response in (answer, preflight):
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "https://app.example"
        assert_secured(response)


@pytest.mark.parametrize(
    ("public_url", "is_told"),
    [("https://brag.example", True), ("HTTPS://brag.example/sub", True), (None, False)],
)
def test_browsers_stay_with_https_where_brag_is_reached_by_it(
    public_url: str | None, is_told: bool
) -> None:
    names = {name for name, _ in default_headers(public_url)}

    assert (b"strict-transport-security" in names) is is_told


async def test_what_a_response_says_itself_is_kept() -> None:
    own = {"Content-Security-Policy": "default-src 'self'", "ETag": '"1"', "X-Frame-Options": "X"}
    app = FastAPI()
    secure_responses(app, "http://brag.example")

    @app.get("/")
    async def page() -> HTMLResponse:
        return HTMLResponse("page", headers=own)

    async with (
        serve(app) as url,
        httpx2.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        response = await client.get("/")

    assert response.headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert response.headers.get_list("x-frame-options") == ["X"]
    # With an ETag, a browser asks whether it has changed.
    assert "cache-control" not in response.headers
    assert "strict-transport-security" not in response.headers
