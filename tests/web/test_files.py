"""The page as it is served: its headers, how long it is kept, what it may load."""

import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from settings import Settings
from tests.support import open_client


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of bRAG whose name is not safe to write into a page."""
    named = settings.model_copy(update={"app_name": '<b title="x">Acme'})
    async with open_client(named) as client:
        yield client


async def addresses(client: httpx2.AsyncClient) -> list[str]:
    """Return what the page loads."""
    return re.findall(r'(?:src|href)="(/static/[^"]+)"', (await client.get("/")).text)


@pytest.mark.parametrize("path", ["/", "/login?token=guess"])
async def test_the_page_runs_nothing_but_its_own_files(
    client: httpx2.AsyncClient, path: str
) -> None:
    response = await client.get(path)

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", response.text)
    assert "guess" not in response.text


async def test_its_name_is_escaped(client: httpx2.AsyncClient) -> None:
    page = (await client.get("/")).text

    assert "<title>&lt;b title=&quot;x&quot;&gt;Acme</title>" in page
    assert '<b title="x">' not in page


async def test_what_it_loads_is_kept_for_ever_under_a_name_that_changes_with_it(
    client: httpx2.AsyncClient,
) -> None:
    paths = await addresses(client)
    assert {path.rsplit(".")[-1] for path in paths} == {"css", "js"}

    for path in paths:
        response = await client.get(path)

        assert response.status_code == 200, path
        assert "immutable" in response.headers["cache-control"]
        assert response.headers["content-type"].startswith(("text/css", "text/javascript"))
        assert response.headers["x-content-type-options"] == "nosniff"


async def test_an_older_pages_names_still_lead_to_its_files_but_are_not_kept(
    client: httpx2.AsyncClient,
) -> None:
    current = next(path for path in await addresses(client) if path.endswith("app.js"))
    older = re.sub(r"/static/\w+/", "/static/0123456789ab/", current)

    response = await client.get(older)

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-cache"


async def test_what_has_not_changed_is_not_sent_again(client: httpx2.AsyncClient) -> None:
    etag = (await client.get("/")).headers["etag"]

    response = await client.get("/", headers={"If-None-Match": etag})

    assert (response.status_code, response.content) == (304, b"")


async def test_it_is_sent_compressed_to_whoever_can_read_that(client: httpx2.AsyncClient) -> None:
    plain = await client.get("/", headers={"Accept-Encoding": "identity"})
    packed = await client.get("/", headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert packed.content == plain.content


@pytest.mark.parametrize(
    "path",
    ["/static/x/nothing.js", "/static/x/%2e%2e/api.py", "/static/x/", "/x"],
)
async def test_nothing_else_is_served(client: httpx2.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


async def test_the_page_is_no_part_of_the_api(client: httpx2.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]

    assert not [path for path in paths if path in ("/", "/login") or "static" in path]
