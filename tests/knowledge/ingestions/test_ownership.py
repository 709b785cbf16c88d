"""Whose runs these are: what accounts see of each other's, and may do to them."""

import asyncio
import dataclasses
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from app.accounts.models import ALL_SCOPES, Caller, Scope
from tests.knowledge.people import People, told
from tests.support import execute, fetch, parse_events

READS = [("GET", path) for path in ("", "/items", "/log", "/events")]
WRITES = [("POST", path) for path in ("/cancel", "/retry", "/replay")]


async def a_run(people: People, caller: Caller, name: str = "a", **fields: Any) -> str:
    """Begin a run over a source of somebody; return its id."""
    return str((await people.create(caller, name, **fields))["ingestion"]["id"])


def give_up(people: People) -> None:
    """End all runs in failure, with an item and a line that tell of it."""
    execute(
        people.database_url,
        "UPDATE ingestion SET state = 'failed', error = 'no', finished_at = now();"
        "INSERT INTO ingestion_item (ingestion_id, path, state) SELECT id, 'a.md', 'failed'"
        " FROM ingestion;"
        "INSERT INTO ingestion_log (ingestion_id, level, path, message)"
        " SELECT id, 'error', 'a.md', 'no' FROM ingestion",
    )


def stored(people: People) -> list[tuple[Any, ...]]:
    """Return all that is stored of runs, and what is queued."""
    return fetch(
        people.database_url,
        "SELECT CAST(ingestion AS text), (SELECT count(*) FROM ingestion_log),"
        " (SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo')"
        " FROM ingestion ORDER BY id",
    )


def assert_forbidden(response: httpx2.Response, words: str) -> None:
    assert response.status_code == 403, response.text
    assert response.json()["error"]["code"] == "forbidden"
    assert words in response.json()["error"]["message"]


@pytest.mark.parametrize(("method", "path"), READS + WRITES)
@pytest.mark.parametrize("somebody", ["bob", "admin"])
async def test_a_run_over_a_private_source_of_somebody_else_is_as_none(
    people: People, somebody: str, method: str, path: str
) -> None:
    run = await a_run(people, people.ann)
    give_up(people)
    before = stored(people)
    caller = getattr(people, somebody)
    none = uuid4()

    refused = await people.send(caller, method, f"/v1/ingestions/{run}{path}")
    missing = await people.send(caller, method, f"/v1/ingestions/{none}{path}")

    assert refused.status_code == 404
    assert told(refused, run) == told(missing, none)
    assert stored(people) == before


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_run_over_a_shared_source_is_changed_by_its_owner_and_admins(
    people: People, method: str, path: str
) -> None:
    run = await a_run(people, people.ann, visibility="shared")
    give_up(people)
    before = stored(people)

    refused = await people.send(people.bob, method, f"/v1/ingestions/{run}{path}")
    unchanged = stored(people)
    accepted = await people.send(people.admin, method, f"/v1/ingestions/{run}{path}")

    assert_forbidden(refused, "somebody else's")
    assert unchanged == before
    assert accepted.is_success, accepted.text


async def test_a_run_over_a_shared_source_is_followed_by_all(people: People) -> None:
    run = await a_run(people, people.ann, visibility="shared")
    give_up(people)
    url = f"/v1/ingestions/{run}"

    items = await people.get(people.bob, f"{url}/items")
    log = await people.get(people.bob, f"{url}/log")
    events = parse_events((await people.send(people.bob, "GET", f"{url}/events")).text)

    assert (await people.get(people.bob, url))["state"] == "failed"
    assert [item["path"] for item in items] == ["a.md"]
    assert [line["message"] for line in log] == ["no"]
    assert [event.name for event in events] == ["log", "progress", "done"]


async def test_what_a_run_tells_of_the_source_itself_is_for_its_owner_and_admins(
    people: People,
) -> None:
    run = await a_run(people, people.ann, "secret", visibility="shared")
    execute(
        people.database_url,
        "UPDATE ingestion SET state = 'failed', error = 'no acme/secret', finished_at = now();"
        "INSERT INTO ingestion_log (ingestion_id, level, path, message)"
        " SELECT id, level, path, message FROM ingestion, (VALUES"
        "  ('info', NULL, 'listing the source'), ('warning', 'a.md', 'is empty'),"
        "  ('warning', NULL, 'no acme/secret, for now'), ('error', NULL, 'no acme/secret')"
        " ) AS line (level, path, message)",
    )
    url = f"/v1/ingestions/{run}"

    async def read(caller: Caller) -> tuple[Any, Any, list[str], str]:
        shown = await people.get(caller, url)
        (listed,) = await people.get(caller, "/v1/ingestions")
        lines = [line["message"] for line in await people.get(caller, f"{url}/log")]
        events = (await people.send(caller, "GET", f"{url}/events")).text
        assert listed == shown
        return shown["location"], shown["error"], lines, events

    *of_bob, events_of_bob = await read(people.bob)
    *of_ann, events_of_ann = await read(people.ann)
    *of_admin, events_of_admin = await read(people.admin)

    assert of_bob == [None, None, ["listing the source", "is empty"]]
    assert "secret" not in events_of_bob
    assert of_ann == of_admin
    assert of_ann[:2] == ["acme/secret", "no acme/secret"]
    assert len(of_ann[2]) == 4
    assert events_of_ann.count("no acme/secret") >= 4
    assert events_of_admin.count("no acme/secret") >= 4


async def test_how_much_was_new_to_all_is_for_admins_since_it_tells_what_others_have(
    people: People,
) -> None:
    source = await people.create(people.ann, visibility="shared")
    execute(people.database_url, "UPDATE ingestion SET passages = 5, embedded = 3")
    run = f"/v1/ingestions/{source['ingestion']['id']}"
    sync = f"/v1/sources/{source['id']}/sync"
    title = {"title": "A", "text": "What others may have."}

    told = {}
    for name in ("ann", "bob", "admin"):
        shown = await people.get(getattr(people, name), run)
        told[name] = (shown["passages"], shown["embedded"])
    joined = (await people.send(people.ann, "POST", sync)).json()
    cancelled = (await people.send(people.ann, "POST", f"{run}/cancel")).json()
    replayed = (await people.send(people.ann, "POST", f"{run}/replay")).json()
    uploaded = (await people.send(people.ann, "POST", "/v1/documents", **title)).json()

    assert told == {"ann": (5, None), "bob": (5, None), "admin": (5, 3)}
    runs = (source["ingestion"], joined, cancelled, replayed, uploaded["ingestion"])
    assert [one["embedded"] for one in runs] == [None] * 5


async def test_lists_show_runs_over_ones_own_sources_and_shared_ones(people: People) -> None:
    private = await people.create(people.ann, "a")
    shared = await a_run(people, people.ann, "b", visibility="shared")
    bobs = await a_run(people, people.bob, "c")

    async def listed(caller: Caller, query: str = "") -> list[str]:
        return [run["id"] for run in await people.get(caller, f"/v1/ingestions{query}")]

    assert await listed(people.ann) == [shared, private["ingestion"]["id"]]
    assert await listed(people.bob) == [bobs, shared]
    assert await listed(people.admin) == [shared]
    assert await listed(people.ann, f"?source_id={private['id']}") == [private["ingestion"]["id"]]
    assert await listed(people.bob, f"?source_id={private['id']}") == []
    assert await listed(people.bob, "?state=queued") == [bobs, shared]


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"visibility": "private"}), ("DELETE", {})])
async def test_a_stream_ends_when_its_reader_may_not_read_any_longer(
    people: People, method: str, body: dict[str, str]
) -> None:
    source = await people.create(people.ann, visibility="shared")
    url = f"/v1/ingestions/{source['ingestion']['id']}/events"

    async with asyncio.timeout(20), people.stream(people.bob, url) as response:
        chunks = response.aiter_text()
        text = await anext(chunks)
        changed = await people.send(people.ann, method, f"/v1/sources/{source['id']}", **body)
        # It would still be told of this.
        execute(
            people.database_url,
            "INSERT INTO ingestion_log (ingestion_id, level, path, message)"
            " SELECT id, 'info', 'secret.md', 'secret' FROM ingestion",
        )
        text += "".join([chunk async for chunk in chunks])

    assert changed.is_success
    events = parse_events(text)
    assert [event.name for event in events] == ["progress", "error"]
    assert events[-1].data["code"] == "ingestion_not_found"


async def test_the_owner_goes_on_following_what_is_no_longer_shared(people: People) -> None:
    source = await people.create(people.ann, visibility="shared")
    url = f"/v1/ingestions/{source['ingestion']['id']}"

    async with asyncio.timeout(20), people.stream(people.ann, f"{url}/events") as response:
        chunks = response.aiter_text()
        text = await anext(chunks)
        await people.send(people.ann, "PATCH", f"/v1/sources/{source['id']}", visibility="private")
        await people.send(people.ann, "POST", f"{url}/cancel")
        text += "".join([chunk async for chunk in chunks])

    assert [event.name for event in parse_events(text)][-1] == "done"


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [("GET", "", Scope.READ)]
    + [(method, f"/ID{path}", Scope.READ) for method, path in READS]
    + [(method, f"/ID{path}", Scope.INGEST) for method, path in WRITES],
)
async def test_every_route_needs_its_scope(
    people: People, method: str, path: str, scope: Scope
) -> None:
    run = await a_run(people, people.ann)
    give_up(people)
    path = "/v1/ingestions" + path.replace("ID", run)
    lacking = dataclasses.replace(people.ann, scopes=ALL_SCOPES - {scope})
    enough = dataclasses.replace(people.ann, scopes=frozenset({scope}))

    assert_forbidden(await people.send(lacking, method, path), f"the scope {scope}")
    assert (await people.send(enough, method, path)).is_success
