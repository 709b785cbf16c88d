"""The reference at `/docs`, which asks no other server for anything."""

import re

import httpx2


async def test_the_reference_is_served_with_all_that_it_loads(api: httpx2.AsyncClient) -> None:
    page = await api.get("/docs")

    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    for path in loaded:
        # Relative, so that it works below a path of a proxy's, too.
        assert path.startswith("docs/")
        response = await api.get(f"/{path}")
        assert response.status_code == 200, path
        assert response.content, path
    assert 'url: "openapi.json"' in (await api.get("/docs/start.js")).text


async def test_the_reference_may_run_only_what_is_served_with_it(api: httpx2.AsyncClient) -> None:
    policy = (await api.get("/docs")).headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "http" not in policy


async def test_nothing_else_of_the_package_is_served(api: httpx2.AsyncClient) -> None:
    for path in ("/docs/assets/__init__.py", "/docs/assets/..%2f__init__.py", "/redoc"):
        assert (await api.get(path)).status_code == 404, path


async def test_files_are_sent_again_only_when_they_have_changed(api: httpx2.AsyncClient) -> None:
    path = "/docs/assets/swagger-ui.css"
    first = await api.get(path)

    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["etag"]
