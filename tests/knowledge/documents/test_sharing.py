"""Whose documents these are: what accounts see of each other's, and may do to them."""

import dataclasses
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from app.accounts.models import Caller, Scope
from app.core.database import Database
from app.main import create_app
from settings import Settings
from tests.accounts.callers import as_account
from tests.knowledge.people import People, told
from tests.knowledge.working import working
from tests.support import eventually, execute, fetch

JSON = dict[str, Any]
DOCUMENTS = "/v1/documents"
DUCKS = {"title": "Ducks", "text": "The capital of the ducks is Entenhausen."}
GEESE = {"title": "Ducks", "text": "Geese honk at strangers."}
SHARED = {"visibility": "shared"}
CHANGES: list[tuple[str, JSON]] = [("PUT", GEESE), ("DELETE", {})]


async def send_form(people: People, caller: Caller, **fields: Any) -> httpx2.Response:
    """Upload a file as somebody."""
    file = ("Ducks", DUCKS["text"].encode())
    with as_account(people.app, caller):
        return await people.client.post(DOCUMENTS, files=[("file", file)], data=fields)


async def store(people: People, caller: Caller, document: JSON) -> str:
    """Upload a text as somebody, wait until it is stored, and return its URL."""
    return await stored(people, caller, await people.send(caller, "POST", DOCUMENTS, **document))


async def stored(people: People, caller: Caller, response: httpx2.Response) -> str:
    """Wait until an upload is stored; return its URL."""
    assert response.status_code == 202, response.text

    async def has_ended() -> bool:
        run = await people.get(caller, response.headers["location"])
        return run["finished_at"] is not None

    await eventually(has_ended, within=60)
    return f"{DOCUMENTS}/{response.json()['documents'][0]['id']}"


async def text(people: People, caller: Caller, url: str) -> str:
    """Return the text that somebody reads of a document."""
    return str((await people.get(caller, url))["text"])


def add_folder_document(database_url: str, owner: Caller, visibility: str) -> str:
    """Store a document of a source that is kept in sync; return its URL."""
    execute(
        database_url,
        "INSERT INTO source (account_id, kind, location, visibility)"
        f" VALUES ('{owner.account_id}', 'folder', '/{visibility}', '{visibility}');"
        "INSERT INTO document (id, source_id, path, title, content_hash, recipe, text)"
        " SELECT gen_random_uuid(), id, 'a.md', 'A', sha256('a'), '1', 'a' FROM source"
        f" WHERE location = '/{visibility}'",
    )
    rows = fetch(
        database_url,
        "SELECT CAST(document.id AS text) FROM document JOIN source ON source.id = source_id"
        f" WHERE location = '/{visibility}'",
    )
    return f"{DOCUMENTS}/{rows[0][0]}"


@pytest.mark.usefixtures("worker")
async def test_an_upload_is_seen_by_its_owner_alone(people: People) -> None:
    url = await store(people, people.ann, DUCKS)
    none = uuid4()

    (document,) = await people.get(people.ann, DOCUMENTS)
    assert (document["visibility"], document["mine"]) == ("private", True)
    assert (await people.get(people.ann, url))["chunks"]

    for other in (people.bob, people.admin):
        refused = await people.send(other, "GET", url)
        missing = await people.send(other, "GET", f"{DOCUMENTS}/{none}")
        assert refused.status_code == 404
        assert told(refused, document["id"]) == told(missing, none)
        for query in ("", f"?source_id={document['source_id']}", "?path_prefix=Ducks"):
            assert await people.get(other, DOCUMENTS + query) == []


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("as_form", [False, True])
async def test_a_shared_upload_is_read_by_everybody(people: People, as_form: bool) -> None:
    if as_form:
        response = await send_form(people, people.ann, **SHARED)
    else:
        response = await people.send(people.ann, "POST", DOCUMENTS, **DUCKS, **SHARED)
    url = await stored(people, people.ann, response)

    document = await people.get(people.bob, url)
    assert document["text"] == DUCKS["text"]
    assert document["chunks"]
    (listed,) = await people.get(people.bob, DOCUMENTS)
    assert (listed["visibility"], listed["mine"]) == ("shared", False)
    assert await people.get(people.bob, f"{DOCUMENTS}?source_id={listed['source_id']}") == [listed]
    assert await people.get(people.ann, DOCUMENTS) == [listed | {"mine": True}]


@pytest.mark.usefixtures("worker")
async def test_a_private_document_of_somebody_else_is_changed_by_nobody_and_as_none(
    people: People,
) -> None:
    url = await store(people, people.ann, DUCKS)
    none = uuid4()

    for other in (people.bob, people.admin):
        for method, body in CHANGES:
            refused = await people.send(other, method, url, **body)
            missing = await people.send(other, method, f"{DOCUMENTS}/{none}", **body)
            assert refused.status_code == 404
            assert told(refused, url.rpartition("/")[2]) == told(missing, none)

    assert await text(people, people.ann, url) == DUCKS["text"]
    assert (await people.send(people.ann, "DELETE", url)).status_code == 204
    assert await people.get(people.ann, DOCUMENTS) == []


@pytest.mark.usefixtures("worker")
async def test_a_shared_document_is_changed_by_its_owner_and_admins(people: People) -> None:
    url = await store(people, people.ann, DUCKS | SHARED)

    for method, body in CHANGES:
        refused = await people.send(people.bob, method, url, **body)
        assert refused.status_code == 403
        assert "somebody else's" in refused.json()["detail"]
    assert await text(people, people.ann, url) == DUCKS["text"]

    replaced = await people.send(people.admin, "PUT", url, **GEESE)
    assert await stored(people, people.admin, replaced) == url
    (document,) = await people.get(people.ann, DOCUMENTS)
    assert (document["visibility"], document["mine"]) == ("shared", True)
    assert await text(people, people.bob, url) == GEESE["text"]

    assert (await people.send(people.admin, "DELETE", url)).status_code == 204
    assert await people.get(people.ann, DOCUMENTS) == []


async def test_before_it_is_stored_an_upload_is_its_owners_to_delete(
    people: People, database_url: str
) -> None:
    response = await people.send(people.ann, "POST", DOCUMENTS, **DUCKS)
    url = f"{DOCUMENTS}/{response.json()['documents'][0]['id']}"

    for other in (people.bob, people.admin):
        for method, body in CHANGES:
            assert (await people.send(other, method, url, **body)).status_code == 404
    contents = [bytes(row[0]) for row in fetch(database_url, "SELECT content FROM upload")]
    assert contents == [DUCKS["text"].encode()]
    assert (await people.send(people.ann, "DELETE", url)).status_code == 204
    assert fetch(database_url, "SELECT path FROM upload") == []


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("fields", [{}, SHARED], ids=["private", "shared"])
async def test_an_upload_over_the_path_of_somebody_else_is_a_document_of_ones_own(
    people: People, fields: JSON
) -> None:
    theirs = await store(people, people.ann, DUCKS | fields)

    for other in (people.bob, people.admin):
        own = await store(people, other, GEESE | fields)
        listed = await people.get(other, DOCUMENTS)
        mine = [f"{DOCUMENTS}/{document['id']}" for document in listed if document["mine"]]
        assert mine == [own]
        assert await text(people, other, own) == GEESE["text"]
    assert await text(people, people.ann, theirs) == DUCKS["text"]


@pytest.mark.usefixtures("worker")
async def test_a_path_may_be_private_and_shared_and_is_replaced_apart(people: People) -> None:
    private = await store(people, people.ann, DUCKS)
    shared = await store(people, people.ann, GEESE | SHARED)
    again = await store(people, people.ann, DUCKS | SHARED | {"text": "Entenhausen is small."})

    assert shared == again != private
    assert await text(people, people.ann, private) == DUCKS["text"]
    assert await text(people, people.bob, shared) == "Entenhausen is small."


async def test_sources_of_uploads_are_made_when_they_are_needed_and_once(
    people: People, database_url: str
) -> None:
    for caller, fields in (
        (people.ann, {}),
        (people.ann, {}),
        (people.ann, SHARED),
        (people.bob, SHARED),
    ):
        response = await people.send(caller, "POST", DOCUMENTS, **DUCKS, **fields)
        assert response.status_code == 202, response.text

    rows = fetch(
        database_url,
        "SELECT email, kind, location, visibility"
        " FROM source JOIN account ON account.id = account_id ORDER BY email, location",
    )
    assert rows == [
        ("ann@example.com", "upload", "shared uploads", "shared"),
        ("ann@example.com", "upload", "uploads", "private"),
        ("bob@example.com", "upload", "shared uploads", "shared"),
    ]


async def test_a_replaced_document_keeps_its_visibility(
    people: People, ingest_settings: Settings, database: Database
) -> None:
    async with working(ingest_settings, database):
        url = await store(people, people.ann, DUCKS | SHARED)
        for fields in ({}, SHARED):
            replaced = await people.send(people.ann, "PUT", url, **GEESE, **fields)
            await stored(people, people.ann, replaced)

    refused = await people.send(people.ann, "PUT", url, **DUCKS, visibility="private")

    assert refused.status_code == 422
    assert "must stay shared" in refused.json()["detail"]
    assert await text(people, people.bob, url) == GEESE["text"]


@pytest.mark.parametrize("given", ["public", "", ["private", "shared"]])
async def test_a_form_of_another_visibility_is_refused(
    people: People, given: str | list[str], database_url: str
) -> None:
    response = await send_form(people, people.ann, visibility=given)

    assert response.status_code == 422
    assert response.json()["detail"] == "visibility: must be private or shared"
    assert fetch(database_url, "SELECT path FROM upload") == []


async def test_a_document_of_a_source_is_refused_by_who_asks(
    people: People, database_url: str
) -> None:
    shared = add_folder_document(database_url, people.ann, "shared")
    private = add_folder_document(database_url, people.ann, "private")

    for method, body in CHANGES:
        for caller, statuses in (
            (people.ann, (409, 409)),
            (people.bob, (403, 404)),
            (people.admin, (409, 404)),
        ):
            for url, status in zip((shared, private), statuses, strict=True):
                assert (await people.send(caller, method, url, **body)).status_code == status


async def test_reading_and_writing_need_their_scopes(people: People) -> None:
    reader = dataclasses.replace(people.ann, scopes=frozenset({Scope.READ}))
    writer = dataclasses.replace(people.ann, scopes=frozenset({Scope.INGEST}))
    url = f"{DOCUMENTS}/{uuid4()}"

    for method, path, body in (
        ("POST", DOCUMENTS, DUCKS),
        ("PUT", url, DUCKS),
        ("DELETE", url, {}),
    ):
        assert (await people.send(reader, method, path, **body)).status_code == 403
        assert (await people.send(writer, method, path, **body)).status_code in (202, 404)
    for path in (DOCUMENTS, url):
        assert (await people.send(reader, "GET", path)).status_code in (200, 404)
        assert (await people.send(writer, "GET", path)).status_code == 403


def test_the_described_bodies_refer_to_nothing_elsewhere(settings: Settings) -> None:
    schema = create_app(settings).openapi()
    body = schema["paths"][DOCUMENTS]["post"]["requestBody"]["content"]

    fields = body["application/json"]["schema"]["properties"]
    assert {"type": "string", "enum": ["private", "shared"]} in fields["visibility"]["anyOf"]
    assert "$ref" not in str(body)
