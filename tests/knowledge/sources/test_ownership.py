"""Whose sources these are: what accounts see of each other's, and may do to them."""

import dataclasses
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from app.accounts.models import ALL_SCOPES, Caller, Scope
from tests.knowledge.people import People, a_repository, told
from tests.support import execute, fetch

JSON = dict[str, Any]
READS: list[tuple[str, str, JSON]] = [("GET", "", {})]
WRITES: list[tuple[str, str, JSON]] = [
    ("PATCH", "", {"name": "Mine now"}),
    ("PATCH", "", {"visibility": "shared"}),
    ("PATCH", "", {"config": a_repository("b")}),
    ("POST", "/sync", {}),
    ("DELETE", "", {}),
]
DOCUMENT = """
    INSERT INTO document (id, source_id, path, title, content_hash, recipe, text)
    SELECT gen_random_uuid(), id, 'a.md', 'A', sha256('a'), '1', 'a' FROM source;
    INSERT INTO chunk (
        id, document_id, ordinal, start_offset, end_offset, heading_path, content_hash, text
    )
    SELECT gen_random_uuid(), id, 0, 0, 1, ARRAY['A'], sha256('a'), 'a' FROM document;
    DELETE FROM index_change
"""


def assert_forbidden(response: httpx2.Response, words: str) -> None:
    assert response.status_code == 403, response.text
    error = response.json()["error"]
    assert error["code"] == "forbidden"
    assert words in error["message"]


def stored(people: People) -> list[tuple[Any, ...]]:
    """Return all that is stored of sources and of what they do."""
    return fetch(
        people.database_url,
        "SELECT CAST(source AS text), array(SELECT CAST(ingestion AS text) FROM ingestion)"
        " FROM source ORDER BY id",
    )


async def test_a_source_is_private_unless_it_is_said_to_be_shared(people: People) -> None:
    private = await people.create(people.ann, "a")
    shared = await people.create(people.ann, "b", visibility="shared")

    assert (private["visibility"], private["mine"]) == ("private", True)
    assert (shared["visibility"], shared["mine"]) == ("shared", True)


@pytest.mark.parametrize(("method", "path", "body"), READS + WRITES)
@pytest.mark.parametrize("somebody", ["bob", "admin"])
async def test_a_private_source_of_somebody_else_is_as_none(
    people: People, somebody: str, method: str, path: str, body: JSON
) -> None:
    source = (await people.create(people.ann))["id"]
    before = stored(people)
    caller = getattr(people, somebody)
    none = uuid4()

    refused = await people.send(caller, method, f"/v1/sources/{source}{path}", **body)
    missing = await people.send(caller, method, f"/v1/sources/{none}{path}", **body)

    assert refused.status_code == 404
    assert told(refused, source) == told(missing, none)
    assert stored(people) == before


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_a_shared_source_is_read_by_all_and_changed_by_its_owner_and_admins(
    people: People, method: str, path: str, body: JSON
) -> None:
    source = await people.create(people.ann, visibility="shared", sync=False)
    url = f"/v1/sources/{source['id']}"
    before = stored(people)

    shown = await people.get(people.bob, url)
    refused = await people.send(people.bob, method, url + path, **body)
    unchanged = stored(people)
    accepted = await people.send(people.admin, method, url + path, **body)

    assert (shown["id"], shown["mine"]) == (source["id"], False)
    assert_forbidden(refused, "somebody else's")
    assert unchanged == before
    assert accepted.is_success, accepted.text


async def test_where_a_shared_source_lies_is_for_its_owner_and_admins(
    people: People, folder: Path
) -> None:
    config = {"kind": "folder", "path": str(folder)}
    source = await people.create(people.admin, config=config, visibility="shared")
    url = f"/v1/sources/{source.pop('id')}"
    everything = {"location": str(folder), "name": str(folder), "config": source["config"]}

    shown = await people.get(people.bob, url)
    (listed,) = await people.get(people.bob, "/v1/sources")

    assert shown == listed
    assert str(folder) not in json.dumps(shown)
    assert (shown["name"], shown["location"], shown["config"]) == (folder.name, None, None)
    assert (shown["kind"], shown["visibility"], shown["documents"]) == ("folder", "shared", 0)
    assert (await people.get(people.admin, url)).items() >= everything.items()
    # Another admin, too.
    execute(people.database_url, f"UPDATE source SET account_id = '{people.ann.account_id}'")
    assert (await people.get(people.admin, url)).items() >= everything.items()
    await people.send(people.admin, "PATCH", url, name="Handbook")
    assert (await people.get(people.bob, url))["name"] == "Handbook"


async def test_a_source_without_a_name_of_its_own_is_called_what_its_new_place_is(
    people: People,
) -> None:
    unnamed = await people.create(people.ann, "a", sync=False)
    named = await people.create(people.ann, "b", sync=False)
    url = f"/v1/sources/{named['id']}"
    named = (await people.send(people.ann, "PATCH", url, name="Ours")).json()

    names = []
    for source in (named, unnamed):
        config = a_repository(f"moved-{source['name'][:4].lower()}")
        moved = await people.send(people.ann, "PATCH", f"/v1/sources/{source['id']}", config=config)
        names.append((moved.json()["name"], moved.json()["location"]))

    assert names == [("Ours", "acme/moved-ours"), ("acme/moved-acme", "acme/moved-acme")]


async def test_lists_show_ones_own_sources_and_shared_ones(people: People) -> None:
    private = await people.create(people.ann, "a")
    shared = await people.create(people.ann, "b", visibility="shared")
    bobs = await people.create(people.bob, "c")

    async def listed(caller: Caller) -> dict[str, bool]:
        page = await people.get(caller, "/v1/sources")
        return {source["id"]: source["mine"] for source in page}

    assert await listed(people.ann) == {private["id"]: True, shared["id"]: True}
    assert await listed(people.bob) == {shared["id"]: False, bobs["id"]: True}
    assert await listed(people.admin) == {shared["id"]: False}


async def test_pages_of_a_list_have_no_gaps_where_somebody_elses_sources_are(
    people: People,
) -> None:
    mine = []
    for number in range(3):
        await people.create(people.ann, str(number))
        mine.append((await people.create(people.bob, str(number)))["id"])

    first = await people.send(people.bob, "GET", "/v1/sources?limit=2")
    second = await people.send(people.bob, "GET", first.links["next"]["url"])

    assert [len(first.json()), len(second.json())] == [2, 1]
    assert [source["id"] for source in first.json() + second.json()] == mine
    assert "next" not in second.links


async def test_what_is_no_longer_shared_is_gone_for_others(people: People) -> None:
    source = await people.create(people.ann, visibility="shared")
    url = f"/v1/sources/{source['id']}"

    changed = await people.send(people.ann, "PATCH", url, visibility="private")

    assert changed.json()["visibility"] == "private"
    assert (await people.send(people.bob, "GET", url)).status_code == 404
    assert (await people.send(people.admin, "DELETE", url)).status_code == 404
    assert await people.get(people.ann, url) == changed.json()


async def test_not_even_an_admin_hides_what_another_has_shared(people: People) -> None:
    source = await people.create(people.ann, visibility="shared", every="1d")
    url = f"/v1/sources/{source['id']}"
    del source["ingestion"]

    refused = await people.send(people.admin, "PATCH", url, visibility="private")
    renamed = await people.send(people.admin, "PATCH", url, name="Ours", visibility="shared")

    assert_forbidden(refused, "Only the owner")
    assert renamed.json() == source | {"name": "Ours", "mine": False}


async def test_a_change_of_who_reads_a_source_is_handed_to_the_index(people: People) -> None:
    source = await people.create(people.ann, sync=False)
    url = f"/v1/sources/{source['id']}"
    execute(people.database_url, DOCUMENT)
    changes = "SELECT count(*) FROM index_change"

    await people.send(people.ann, "PATCH", url, name="Another name", visibility="private")
    none = fetch(people.database_url, changes)
    await people.send(people.ann, "PATCH", url, visibility="shared")

    assert none == [(0,)]
    assert fetch(people.database_url, changes) == [(1,)]


async def test_two_accounts_may_name_the_same_repository_but_one_only_once(
    people: People,
) -> None:
    anns = await people.create(people.ann)
    bobs = await people.create(people.bob)

    again = await people.send(people.bob, "POST", "/v1/sources", config=a_repository("a"))

    assert anns["id"] != bobs["id"]
    assert again.status_code == 409
    assert again.json()["error"]["details"] == {"source_id": bobs["id"]}


async def test_an_admin_does_not_learn_of_the_private_source_that_is_in_the_way(
    people: People,
) -> None:
    private = await people.create(people.ann, "a")
    shared = await people.create(people.ann, "b", visibility="shared", sync=False)

    refused = await people.send(
        people.admin, "PATCH", f"/v1/sources/{shared['id']}", config=a_repository("a")
    )

    assert refused.json()["error"]["code"] == "source_exists"
    assert private["id"] not in refused.text


@pytest.mark.parametrize(
    "config",
    [
        {"kind": "folder", "path": "FOLDER"},
        {"kind": "git", "url": "FOLDER"},
        {"kind": "git", "url": "file://FOLDER"},
        {"kind": "git", "url": "FILE://FOLDER"},
        {"kind": "git", "url": "ssh://git@git.example.com/a.git"},
        {"kind": "git", "url": "git@git.example.com:a.git"},
        {"kind": "git", "url": "https://git.example.com/a.git"},
        a_repository("a", token_name="work"),
        # None of the server's folders, and no token of it: that is not told apart.
        {"kind": "folder", "path": "/etc"},
        a_repository("a", token_name="guess"),
    ],
)
async def test_only_admins_use_folders_keys_and_tokens_of_the_server(
    people: People, folder: Path, config: JSON
) -> None:
    config = {key: value.replace("FOLDER", str(folder)) for key, value in config.items()}
    source = await people.create(people.ann, "mine", sync=False)
    before = stored(people)

    created = await people.send(people.ann, "POST", "/v1/sources", config=config)
    changed = await people.send(people.ann, "PATCH", f"/v1/sources/{source['id']}", config=config)

    assert_forbidden(created, "Only an admin may")
    assert_forbidden(changed, "Only an admin may")
    assert str(folder) not in created.text
    assert stored(people) == before


async def test_an_admin_makes_a_folder_a_source_that_all_read(people: People, folder: Path) -> None:
    config = {"kind": "folder", "path": str(folder)}
    source = await people.create(people.admin, config=config, visibility="shared", sync=False)

    shown = await people.get(people.ann, f"/v1/sources/{source['id']}")

    assert (shown["id"], shown["kind"]) == (source["id"], "folder")


@pytest.mark.parametrize(
    ("method", "path", "body", "scope"),
    [
        ("GET", "", {}, Scope.READ),
        ("GET", "/ID", {}, Scope.READ),
        ("POST", "", {"config": a_repository("b")}, Scope.INGEST),
        *[(method, f"/ID{path}", body, Scope.INGEST) for method, path, body in WRITES],
    ],
)
async def test_every_route_needs_its_scope(
    people: People, method: str, path: str, body: JSON, scope: Scope
) -> None:
    source = await people.create(people.ann, sync=False)
    path = "/v1/sources" + path.replace("ID", source["id"])
    lacking = dataclasses.replace(people.ann, scopes=ALL_SCOPES - {scope})
    enough = dataclasses.replace(people.ann, scopes=frozenset({scope}))

    assert_forbidden(await people.send(lacking, method, path, **body), f"the scope {scope}")
    assert (await people.send(enough, method, path, **body)).is_success
