"""Sources over HTTP: what is accepted, refused, changed and removed."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.support import execute, fetch

JSON = dict[str, Any]


def folder_source(folder: Path, **fields: Any) -> JSON:
    return {"config": {"kind": "folder", "path": str(folder)}, "sync": False, **fields}


async def create(api: httpx2.AsyncClient, body: JSON) -> JSON:
    response = await api.post("/v1/sources", json=body)
    assert response.status_code == 201, response.text
    source: JSON = response.json()
    return source


def assert_refused(response: httpx2.Response, status: int, code: str, words: str = "") -> None:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == code
    assert words in error["message"]


async def test_a_source_is_created_and_its_first_run_queued(
    ingest_api: httpx2.AsyncClient, folder: Path
) -> None:
    response = await ingest_api.post(
        "/v1/sources", json=folder_source(folder, sync=True, name="Docs", every="6h")
    )

    source = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"/v1/sources/{source['id']}"
    assert source["name"] == "Docs"
    assert source["location"] == str(folder)
    assert source["every"] == "6h"
    assert source["ingestion"]["state"] == "queued"
    assert source["ingestion"]["source_id"] == source["id"]


async def test_a_source_is_shown_alone_and_in_the_list(
    ingest_api: httpx2.AsyncClient, folder: Path
) -> None:
    created = await create(ingest_api, folder_source(folder))

    shown = (await ingest_api.get(f"/v1/sources/{created['id']}")).json()
    listed = (await ingest_api.get("/v1/sources")).json()

    assert listed == [shown]
    assert shown == {key: value for key, value in created.items() if key != "ingestion"}


async def test_sources_are_listed_in_pages(ingest_api: httpx2.AsyncClient, folder: Path) -> None:
    ids = []
    for name in ("a", "b", "c"):
        (folder / name).mkdir()
        ids.append((await create(ingest_api, folder_source(folder / name)))["id"])

    first = await ingest_api.get("/v1/sources", params={"limit": 2})
    second = await ingest_api.get(first.links["next"]["url"])

    assert [source["id"] for source in first.json() + second.json()] == ids
    assert "next" not in second.links


async def test_the_same_source_is_not_created_twice(
    ingest_api: httpx2.AsyncClient, folder: Path
) -> None:
    created = await create(ingest_api, folder_source(folder))

    response = await ingest_api.post("/v1/sources", json=folder_source(folder / "." / ""))

    assert_refused(response, 409, "source_exists")
    assert response.json()["error"]["details"] == {"source_id": created["id"]}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"kind": "folder", "path": "/etc"}, "INGEST_ROOTS"),
        ({"kind": "git", "url": "ext::sh -c id"}, "config"),
        ({"kind": "git", "url": "file:///etc/repository"}, "INGEST_ROOTS"),
        ({"kind": "git", "url": "https://me:secret@example.com/a.git"}, "SOURCE_TOKENS"),
        ({"kind": "git", "url": "https://example.com/a.git", "token_name": "x"}, "SOURCE_TOKENS"),
        ({"kind": "github", "repository": "just-a-name"}, "config"),
        ({"kind": "web", "url": "ftp://example.com"}, "http://"),
        ({"kind": "web", "url": "https://me:secret@example.com"}, "password"),
        ({"kind": "web", "url": "https://example.com", "max_pages": 0}, "max_pages"),
        ({"kind": "web", "url": "https://:secret@example.com"}, "password"),
        ({"kind": "web", "url": "https://example.com/\0"}, "NUL"),
        ({"kind": "pigeon"}, "config"),
        ({"kind": "folder", "path": "/tmp", "more": 1}, "more"),
    ],
)
async def test_what_could_never_be_read_is_refused(
    ingest_api: httpx2.AsyncClient, config: JSON, words: str
) -> None:
    response = await ingest_api.post("/v1/sources", json={"config": config})

    assert response.status_code == 422
    assert words in response.json()["detail"]
    assert "secret" not in response.text
    assert (await ingest_api.get("/v1/sources")).json() == []


@pytest.mark.parametrize("every", ["6", "0h", "1m", "4m", "400d", "6 h", "-1h", "h"])
async def test_a_wrong_interval_is_refused(
    ingest_api: httpx2.AsyncClient, folder: Path, every: str
) -> None:
    response = await ingest_api.post("/v1/sources", json=folder_source(folder, every=every))

    assert_refused(response, 422, "invalid_request", "every")


async def test_a_source_is_changed_where_something_is_said(
    ingest_api: httpx2.AsyncClient, folder: Path
) -> None:
    source = await create(ingest_api, folder_source(folder, name="Old", every="1d"))
    url = f"/v1/sources/{source['id']}"
    (folder / "b").mkdir()

    renamed = (await ingest_api.patch(url, json={"name": "New"})).json()
    moved = (
        await ingest_api.patch(url, json={"config": {"kind": "folder", "path": str(folder / "b")}})
    ).json()
    by_hand = (await ingest_api.patch(url, json={"every": None})).json()

    assert (renamed["name"], renamed["every"]) == ("New", "1d")
    assert (moved["name"], moved["location"]) == ("New", str(folder / "b"))
    assert (by_hand["location"], by_hand["every"]) == (str(folder / "b"), None)


async def test_a_source_does_not_change_its_kind_or_become_another(
    ingest_api: httpx2.AsyncClient, folder: Path
) -> None:
    (folder / "b").mkdir()
    first = await create(ingest_api, folder_source(folder))
    await create(ingest_api, folder_source(folder / "b"))
    url = f"/v1/sources/{first['id']}"

    kind = await ingest_api.patch(
        url, json={"config": {"kind": "web", "url": "https://example.com"}}
    )
    twin = await ingest_api.patch(
        url, json={"config": {"kind": "folder", "path": str(folder / "b")}}
    )

    assert_refused(kind, 422, "invalid_request", "must stay folder")
    assert_refused(twin, 409, "source_exists")


async def test_what_is_not_there_is_said_so(ingest_api: httpx2.AsyncClient) -> None:
    url = f"/v1/sources/{uuid4()}"

    for response in (
        await ingest_api.get(url),
        await ingest_api.patch(url, json={"name": "x"}),
        await ingest_api.delete(url),
        await ingest_api.post(f"{url}/sync"),
    ):
        assert_refused(response, 404, "source_not_found")


async def test_deleting_a_source_removes_all_that_came_from_it_and_ends_its_run(
    ingest_api: httpx2.AsyncClient, folder: Path, database_url: str
) -> None:
    source = await create(ingest_api, folder_source(folder, sync=True))
    execute(
        database_url,
        "INSERT INTO document (id, source_id, path, title, content_hash, recipe, text)"
        f" VALUES (gen_random_uuid(), '{source['id']}', 'a.md', 'A', sha256('a'), '1', 'a')",
    )

    response = await ingest_api.delete(f"/v1/sources/{source['id']}")

    assert response.status_code == 204
    assert (await ingest_api.get("/v1/documents")).json() == []
    assert (await ingest_api.get(f"/v1/ingestions/{source['ingestion']['id']}")).status_code == 404
    jobs = fetch(
        database_url,
        "SELECT CAST(status AS text) FROM procrastinate_jobs WHERE task_name = 'ingestion:list'",
    )
    assert jobs == [("cancelled",)]


async def test_a_sync_is_queued_and_a_second_one_joins_it(
    ingest_api: httpx2.AsyncClient, folder: Path
) -> None:
    source = await create(ingest_api, folder_source(folder))

    first = await ingest_api.post(f"/v1/sources/{source['id']}/sync")
    second = await ingest_api.post(f"/v1/sources/{source['id']}/sync")

    assert first.status_code == second.status_code == 202
    assert first.headers["location"] == f"/v1/ingestions/{first.json()['id']}"
    assert second.json()["id"] == first.json()["id"]


async def test_a_queued_run_is_cancelled_and_then_another_one_begins(
    ingest_api: httpx2.AsyncClient, folder: Path, database_url: str
) -> None:
    source = await create(ingest_api, folder_source(folder, sync=True))
    url = f"/v1/ingestions/{source['ingestion']['id']}"

    cancelled = await ingest_api.post(f"{url}/cancel")
    again = await ingest_api.post(f"{url}/cancel")
    synced = await ingest_api.post(f"/v1/sources/{source['id']}/sync")

    assert cancelled.json()["state"] == again.json()["state"] == "cancelled"
    assert synced.json()["id"] != source["ingestion"]["id"]
    assert synced.json()["state"] == "queued"
