"""Documents over HTTP: handed in, shown, replaced, deleted."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from app.accounts.models import LOCAL_ACCOUNT
from app.core.database import Database
from settings import Settings
from tests.knowledge.working import working
from tests.support import eventually, execute, fetch, open_client

JSON = dict[str, Any]
DUCKS = {"title": "Ducks", "text": "# Ducks\n\nThe capital of the ducks is Entenhausen."}


def files(**contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("file", (name.replace("_", "."), content)) for name, content in contents.items()]


async def upload(api: httpx2.AsyncClient, **request: Any) -> JSON:
    response = await api.post("/v1/documents", **request)
    assert response.status_code == 202, response.text
    accepted: JSON = response.json()
    return accepted


async def stored(api: httpx2.AsyncClient, accepted: JSON) -> JSON:
    """Wait until what was handed in is stored; return the run."""
    url = f"/v1/ingestions/{accepted['ingestion']['id']}"

    async def has_ended() -> bool:
        return (await api.get(url)).json()["finished_at"] is not None

    await eventually(has_ended, within=60)
    run: JSON = (await api.get(url)).json()
    return run


def assert_refused(response: httpx2.Response, status: int, words: str) -> None:
    assert response.status_code == status, response.text
    assert words in response.json()["detail"]


@pytest.mark.usefixtures("worker")
async def test_a_text_is_taken_in_and_found(ingest_api: httpx2.AsyncClient) -> None:
    accepted = await upload(ingest_api, json=DUCKS | {"metadata": {"team": "zoo"}})
    run = await stored(ingest_api, accepted)
    document_id = accepted["documents"][0]["id"]

    document = (await ingest_api.get(f"/v1/documents/{document_id}")).json()

    assert run["state"] == "succeeded"
    assert (document["title"], document["path"]) == ("Ducks", "Ducks")
    assert document["metadata"] == {"team": "zoo"}
    assert document["source_kind"] == "upload"
    assert document["text"] == DUCKS["text"]
    chunk = document["chunks"][0]
    assert "Entenhausen" in document["text"][chunk["start"] : chunk["end"]]

    async def answers() -> bool:
        question = {"message": "What is the capital of the ducks?"}
        return "Entenhausen" in (await ingest_api.post("/v1/qa-create", json=question)).text

    await eventually(answers)
    assert (await ingest_api.delete(f"/v1/documents/{document_id}")).status_code == 204
    answer = await ingest_api.post("/v1/qa-create", json={"message": "capital of the ducks"})
    assert answer.json()["sources"] == []
    assert (await ingest_api.get(f"/v1/documents/{document_id}")).status_code == 404


@pytest.mark.usefixtures("worker")
async def test_several_files_are_taken_in_at_once_by_what_they_are(
    ingest_api: httpx2.AsyncClient,
) -> None:
    html = b"<html><title>Geese</title><body><p>Geese honk at <b>strangers</b>.</p></body></html>"
    accepted = await upload(
        ingest_api,
        files=files(a_md=b"# A\n\nText.", geese_txt=html, broken_pdf=b"%PDF-1.7 nothing"),
    )

    run = await stored(ingest_api, accepted)

    items = (await ingest_api.get(f"/v1/ingestions/{run['id']}/items")).json()
    states = {item["path"]: item["state"] for item in items}
    assert states == {"a.md": "stored", "geese.txt": "stored", "broken.pdf": "skipped"}
    documents = (await ingest_api.get("/v1/documents")).json()
    media_types = {document["path"]: document["media_type"] for document in documents}
    assert media_types == {"a.md": "text/markdown", "geese.txt": "text/html"}


@pytest.mark.usefixtures("worker")
async def test_a_document_is_replaced_under_its_id(ingest_api: httpx2.AsyncClient) -> None:
    accepted = await upload(ingest_api, json=DUCKS)
    await stored(ingest_api, accepted)
    url = f"/v1/documents/{accepted['documents'][0]['id']}"

    replaced = await ingest_api.put(url, json={"title": "Geese", "text": "Geese honk."})
    await stored(ingest_api, replaced.json())

    assert replaced.status_code == 202
    document = (await ingest_api.get(url)).json()
    assert (document["title"], document["text"]) == ("Geese", "Geese honk.")
    assert len((await ingest_api.get("/v1/documents")).json()) == 1


@pytest.mark.usefixtures("worker")
async def test_of_two_contents_at_once_the_later_one_stays(
    ingest_api: httpx2.AsyncClient,
) -> None:
    first = await upload(ingest_api, json=DUCKS)
    url = f"/v1/documents/{first['documents'][0]['id']}"
    second = (await ingest_api.put(url, json=DUCKS | {"text": "The second."})).json()
    third = (await ingest_api.put(url, json=DUCKS | {"text": "The third."})).json()

    await asyncio.gather(*(stored(ingest_api, accepted) for accepted in (first, second, third)))

    assert (await ingest_api.get(url)).json()["text"] == "The third."


async def test_a_document_that_was_deleted_before_it_was_stored_does_not_come_back(
    ingest_api: httpx2.AsyncClient, ingest_settings: Settings, database: Database
) -> None:
    accepted = await upload(ingest_api, json=DUCKS)
    url = f"/v1/documents/{accepted['documents'][0]['id']}"

    assert (await ingest_api.delete(url)).status_code == 204
    async with working(ingest_settings, database):
        run = await stored(ingest_api, accepted)

    assert (run["state"], run["skipped"], run["stored"]) == ("succeeded", 1, 0)
    assert (await ingest_api.get(url)).status_code == 404


async def test_what_is_handed_in_is_kept_before_anything_is_answered(
    ingest_api: httpx2.AsyncClient, database_url: str
) -> None:
    accepted = await upload(ingest_api, json=DUCKS)

    assert accepted["ingestion"]["state"] == "running"
    ((path, content),) = fetch(database_url, "SELECT path, content FROM upload")
    assert (path, bytes(content)) == ("Ducks", DUCKS["text"].encode())
    jobs = fetch(
        database_url,
        "SELECT args ->> 'path' FROM procrastinate_jobs WHERE task_name = 'ingestion:document'",
    )
    assert jobs == [("Ducks",)]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"title": "A"}, "text"),
        ({"title": "A", "text": " "}, "must not be empty"),
        ({"title": "A", "text": "a\0b"}, "NUL"),
        ({"title": "A", "text": "a", "path": "../a"}, "path"),
        ({"title": "A", "text": "a", "path": "/a"}, "path"),
        ({"title": "A", "text": "a", "metadata": []}, "metadata"),
        ({"title": "A", "text": "a", "metadata": {"x": ["a\0"]}}, "NUL"),
        ({"title": "A", "text": "a", "visibility": "public"}, "visibility"),
        ({"title": "A", "text": "a", "more": 1}, "more"),
        ([], "body"),
    ],
)
async def test_a_wrong_text_is_refused(
    ingest_api: httpx2.AsyncClient, body: object, words: str
) -> None:
    response = await ingest_api.post("/v1/documents", json=body)

    assert_refused(response, 422, words)


async def test_numbers_that_are_none_are_refused(ingest_api: httpx2.AsyncClient) -> None:
    response = await ingest_api.post(
        "/v1/documents",
        content=b'{"title": "A", "text": "a", "metadata": {"x": 1e999}}',
        headers={"content-type": "application/json"},
    )

    assert_refused(response, 422, "finite")


async def test_two_files_of_one_name_are_refused(ingest_api: httpx2.AsyncClient) -> None:
    twice = [("file", ("a.md", b"One.")), ("file", ("docs/a.md", b"Two."))]

    assert_refused(await ingest_api.post("/v1/documents", files=twice), 422, "one by one")


@pytest.mark.usefixtures("worker")
async def test_an_upload_that_was_of_use_outlives_one_that_is_not(
    ingest_api: httpx2.AsyncClient,
) -> None:
    accepted = await upload(ingest_api, json=DUCKS)
    await stored(ingest_api, accepted)
    url = f"/v1/documents/{accepted['documents'][0]['id']}"

    replaced = await ingest_api.put(url, files=files(a_pdf=b"%PDF-1.7 nothing of use"))
    run = await stored(ingest_api, replaced.json())

    assert (run["state"], run["failed"]) == ("incomplete", 1)
    assert (await ingest_api.get(url)).json()["text"] == DUCKS["text"]


async def test_a_nul_in_a_query_is_refused(ingest_api: httpx2.AsyncClient) -> None:
    response = await ingest_api.get("/v1/documents?path_prefix=%00")

    assert_refused(response, 422, "NUL")


async def test_a_body_of_another_kind_is_refused_with_the_right_ones(
    ingest_api: httpx2.AsyncClient,
) -> None:
    wrong = await ingest_api.post(
        "/v1/documents", content=b"text", headers={"content-type": "text/plain"}
    )
    malformed = await ingest_api.post(
        "/v1/documents", content=b"{", headers={"content-type": "application/json"}
    )
    empty = await ingest_api.post("/v1/documents", data={"title": "no file"}, files={})
    no_file = await ingest_api.post("/v1/documents", files={"other": (None, b"just a field")})

    assert_refused(wrong, 415, "multipart/form-data")
    assert_refused(malformed, 422, "JSON")
    assert_refused(empty, 415, "multipart/form-data")
    assert_refused(no_file, 422, "at least one file")


async def test_a_form_that_is_cut_off_stores_nothing(
    ingest_api: httpx2.AsyncClient, database_url: str
) -> None:
    boundary = "xyz"
    whole = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.md"\r\n\r\n'
        f"first\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="b.md"\r\n\r\n'
        "second, whose end is miss"
    )

    response = await ingest_api.post(
        "/v1/documents",
        content=whole.encode(),
        headers={"content-type": f"multipart/form-data; boundary={boundary}"},
    )

    assert_refused(response, 422, "form")
    assert fetch(database_url, "SELECT path FROM upload") == []


async def test_an_upload_over_the_limit_is_refused(ingest_settings: Settings) -> None:
    settings = ingest_settings.model_copy(
        update={"max_upload_bytes": 2_000, "max_body_bytes": 1_000}
    )
    async with open_client(settings) as client:
        small = await client.post("/v1/documents", files=files(a_md=b"x" * 1_500))
        large = await client.post("/v1/documents", files=files(a_md=b"x" * 3_000))

    assert small.status_code == 202
    assert_refused(large, 413, "larger than 2000 bytes")


async def test_only_what_was_uploaded_is_changed_by_hand(
    ingest_api: httpx2.AsyncClient, folder: Path, database_url: str
) -> None:
    execute(
        database_url,
        "INSERT INTO source (account_id, kind, location)"
        f" VALUES ('{LOCAL_ACCOUNT}', 'folder', '/docs');"
        "INSERT INTO document (id, source_id, path, title, content_hash, recipe, text)"
        " SELECT gen_random_uuid(), id, 'a.md', 'A', sha256('a'), '1', 'a' FROM source",
    )
    (document,) = (await ingest_api.get("/v1/documents")).json()
    url = f"/v1/documents/{document['id']}"

    assert_refused(await ingest_api.delete(url), 409, "belongs to a source")
    assert_refused(await ingest_api.put(url, json=DUCKS), 409, "belongs to a source")
    assert (await ingest_api.get(url)).status_code == 200


async def test_what_is_not_there_is_said_so(ingest_api: httpx2.AsyncClient) -> None:
    url = f"/v1/documents/{uuid4()}"

    for response in (
        await ingest_api.get(url),
        await ingest_api.put(url, json=DUCKS),
        await ingest_api.delete(url),
    ):
        assert_refused(response, 404, "There is no such document")


async def test_documents_are_listed_in_pages_and_filtered(
    ingest_api: httpx2.AsyncClient, database_url: str
) -> None:
    execute(
        database_url,
        "INSERT INTO source (account_id, kind, location)"
        f" SELECT '{LOCAL_ACCOUNT}', 'folder', unnest(ARRAY['/a', '/b']);"
        "INSERT INTO document"
        " (id, source_id, path, title, content_hash, recipe, text, created_at)"
        " SELECT gen_random_uuid(), id, 'guide' || location || n, 'T', sha256('a'), '1', 'a',"
        " now() + make_interval(secs => n) FROM source, generate_series(1, 3) AS n",
    )
    source_id = fetch(database_url, "SELECT id FROM source WHERE location = '/a'")[0][0]

    async def paths(**params: Any) -> list[str]:
        response = await ingest_api.get("/v1/documents", params=params)
        return [document["path"] for document in response.json()]

    first = await ingest_api.get("/v1/documents", params={"limit": 4})
    second = await ingest_api.get(first.links["next"]["url"])

    assert len({document["id"] for document in first.json() + second.json()}) == 6
    assert await paths(source_id=str(source_id)) == ["guide/a3", "guide/a2", "guide/a1"]
    assert await paths(path_prefix="guide/b") == ["guide/b3", "guide/b2", "guide/b1"]
    assert await paths(path_prefix="gui%") == []
