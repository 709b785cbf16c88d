"""Requests with an `Idempotency-Key`: however often they are sent, they have their effect once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import psycopg2
import pytest

from app.core import idempotency
from app.main import create_app
from settings import Settings
from tests.accounts.callers import as_account
from tests.knowledge.people import People, a_repository
from tests.processes import running
from tests.support import eventually, execute, fetch, open_client

DUCKS = {"title": "Ducks", "text": "The capital of the ducks is Entenhausen."}
KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
COUNTS = """
    SELECT (SELECT count(*) FROM source), (SELECT count(*) FROM upload),
        (SELECT count(*) FROM ingestion), (SELECT count(*) FROM ingestion_log),
        (SELECT count(*) FROM procrastinate_jobs)
"""

Client = httpx2.AsyncClient
Request = dict[str, Any]


@pytest.fixture
async def twins(ingest_settings: Settings) -> AsyncIterator[tuple[Client, Client]]:
    """Clients of two servers on one database."""
    async with open_client(ingest_settings) as first, open_client(ingest_settings) as second:
        yield first, second


async def uploading(_: Client, __: str) -> Request:
    return {"method": "POST", "url": "/v1/documents", "json": DUCKS}


async def replacing(api: Client, _: str) -> Request:
    accepted = (await api.post("/v1/documents", json=DUCKS)).json()
    url = f"/v1/documents/{accepted['documents'][0]['id']}"
    return {"method": "PUT", "url": url, "json": DUCKS | {"text": "They have none."}}


async def creating(_: Client, __: str) -> Request:
    return {"method": "POST", "url": "/v1/sources", "json": {"config": a_repository("a")}}


async def syncing(api: Client, _: str) -> Request:
    source = (await api.request(**await creating(api, ""))).json()
    return {"method": "POST", "url": f"/v1/sources/{source['id']}/sync"}


async def retrying(api: Client, database_url: str) -> Request:
    source = (await api.request(**await creating(api, ""))).json()
    execute(database_url, "UPDATE ingestion SET state = 'failed', finished_at = now()")
    return {"method": "POST", "url": f"/v1/ingestions/{source['ingestion']['id']}/retry"}


async def replaying(api: Client, database_url: str) -> Request:
    request = await retrying(api, database_url)
    return request | {"url": request["url"].replace("retry", "replay")}


ROUTES = [uploading, replacing, creating, syncing, retrying, replaying]
Prepare = Callable[[Client, str], Awaitable[Request]]


def stored(database_url: str) -> tuple[int, ...]:
    """Count everything that a request may add."""
    [counts] = fetch(database_url, COUNTS)
    return counts


def assert_same(first: httpx2.Response, again: httpx2.Response) -> None:
    assert first.is_success, first.text
    assert again.status_code == first.status_code, again.text
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers.get("location") == first.headers.get("location")
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"


def assert_refused(response: httpx2.Response, code: str, words: str) -> None:
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, code), response.text
    assert words in error["message"]


@pytest.mark.parametrize("prepare", ROUTES)
async def test_the_same_request_again_is_answered_the_same_and_does_nothing(
    ingest_api: Client, database_url: str, prepare: Prepare
) -> None:
    request = await prepare(ingest_api, database_url)
    first = await ingest_api.request(**request, headers=KEY)
    before = stored(database_url)

    again = await ingest_api.request(**request, headers=KEY)

    assert_same(first, again)
    assert stored(database_url) == before
    assert ("location" in first.headers) == (prepare is not retrying)


@pytest.mark.parametrize("prepare", ROUTES)
async def test_of_two_at_once_one_has_the_effect_and_both_the_answer(
    twins: tuple[Client, Client], database_url: str, prepare: Prepare
) -> None:
    request = await prepare(twins[0], database_url)
    before = stored(database_url)

    responses = await asyncio.gather(
        *(api.request(**request, headers=KEY) for api in (*twins, *twins))
    )

    responses.sort(key=lambda response: "idempotent-replayed" in response.headers)
    for again in responses[1:]:
        assert_same(responses[0], again)
    once = [after - count for after, count in zip(stored(database_url), before, strict=True)]
    assert max(once) <= 1, once


async def test_the_second_waits_as_long_as_the_first_takes(
    twins: tuple[Client, Client], database_url: str
) -> None:
    await twins[0].post("/v1/documents", json=DUCKS)
    connection = psycopg2.connect(database_url)
    try:
        connection.cursor().execute("SELECT FROM source FOR UPDATE")
        requests = [
            asyncio.create_task(api.post("/v1/documents", json=DUCKS, headers=KEY))
            for api in (*twins, *twins)
        ]

        async def one_is_at_it() -> bool:
            waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            return len(fetch(database_url, waiting)) == 1

        await eventually(one_is_at_it)
        done, _ = await asyncio.wait(requests, timeout=0.3)
        assert not done
        assert await one_is_at_it()
    finally:
        connection.close()

    responses = await asyncio.gather(*requests)
    assert len({response.text for response in responses}) == 1
    assert sum("idempotent-replayed" in response.headers for response in responses) == 3
    assert fetch(database_url, "SELECT count(*) FROM ingestion") == [(2,)]


@pytest.mark.parametrize(
    "other",
    [
        {"json": DUCKS | {"text": "They have none."}},
        {"json": DUCKS, "url": "/v1/documents?a=1"},
        {"json": {"config": a_repository("a")}, "url": "/v1/sources"},
        {"files": [("file", ("Ducks", DUCKS["text"].encode()))]},
    ],
)
async def test_another_request_of_the_same_key_is_refused(
    ingest_api: Client, database_url: str, other: Request
) -> None:
    first = await ingest_api.post("/v1/documents", json=DUCKS, headers=KEY)
    before = stored(database_url)

    request: Request = {"method": "POST", "url": "/v1/documents"} | other
    response = await ingest_api.request(**request, headers=KEY)

    assert_refused(response, "idempotency_key_reused", "with a key of its own")
    assert stored(database_url) == before
    assert_same(first, await ingest_api.post("/v1/documents", json=DUCKS, headers=KEY))


async def test_json_is_the_same_however_it_is_written(ingest_api: Client) -> None:
    config = a_repository("a")
    first = await ingest_api.post("/v1/sources", json={"config": config}, headers=KEY)
    spelled_out = {"sync": True, "config": dict(reversed(config.items())), "name": None}

    assert_same(first, await ingest_api.post("/v1/sources", json=spelled_out, headers=KEY))


async def test_files_are_the_same_in_another_form(ingest_api: Client) -> None:
    def form(content: bytes = b"# Ducks", **fields: str) -> Request:
        return {"files": [("file", ("ducks.md", content))], "data": fields, "headers": KEY}

    async def upload(request: Request) -> httpx2.Response:
        return await ingest_api.post("/v1/documents", **request)

    first = await upload(form(visibility="private"))
    again = await upload(form(visibility="private"))

    assert first.request.headers["content-type"] != again.request.headers["content-type"]
    assert_same(first, again)
    for other in (form(), form(visibility="shared"), form(b"# Geese", visibility="private")):
        assert_refused(await upload(other), "idempotency_key_reused", "of its own")


async def test_the_key_of_another_account_is_another(people: People) -> None:
    async def send(account: Any) -> httpx2.Response:
        with as_account(people.app, account):
            return await people.client.post("/v1/documents", json=DUCKS, headers=KEY)

    of_ann, of_bob, of_ann_again = [
        await send(account) for account in (people.ann, people.bob, people.ann)
    ]

    assert_same(of_ann, of_ann_again)
    assert of_bob.status_code == 202
    assert "idempotent-replayed" not in of_bob.headers
    assert of_bob.headers["location"] != of_ann.headers["location"]


async def test_a_request_that_failed_runs_again(ingest_api: Client, database_url: str) -> None:
    request = await retrying(ingest_api, database_url)
    execute(database_url, "UPDATE ingestion SET state = 'succeeded'")
    refused = await ingest_api.request(**request, headers=KEY)
    assert refused.json()["error"]["code"] == "nothing_to_retry"

    execute(database_url, "UPDATE ingestion SET state = 'failed'")
    first = await ingest_api.request(**request, headers=KEY)

    assert_same(first, await ingest_api.request(**request, headers=KEY))


async def test_a_request_that_broke_runs_again(ingest_api: Client, database_url: str) -> None:
    execute(database_url, "ALTER TABLE upload ADD CONSTRAINT no CHECK (path = 'no') NOT VALID")
    broken = await ingest_api.post("/v1/documents", json=DUCKS, headers=KEY)
    assert broken.status_code == 500

    execute(database_url, "ALTER TABLE upload DROP CONSTRAINT no")
    first = await ingest_api.post("/v1/documents", json=DUCKS, headers=KEY)

    assert_same(first, await ingest_api.post("/v1/documents", json=DUCKS, headers=KEY))


@pytest.mark.parametrize("dies", ["before", "after"])
async def test_a_server_that_is_killed_has_done_all_or_nothing(
    ingest_settings: Settings, database_url: str, dies: str
) -> None:
    async with AsyncExitStack() as stack:
        dying, process = await stack.enter_async_context(
            running(
                ingest_settings.var_dir,
                "tests.knowledge.dying",
                DATABASE_URL=database_url,
                DIES=dies,
            )
        )
        with pytest.raises(httpx2.TransportError):
            await dying.post("/v1/documents", json=DUCKS, headers=KEY)
        assert await asyncio.to_thread(process.wait, 10) == -9
        was_done = dies == "after"
        assert stored(database_url)[2] == was_done
        api = await stack.enter_async_context(open_client(ingest_settings))
        repeated = asyncio.create_task(api.post("/v1/documents", json=DUCKS, headers=KEY))
        if not was_done:
            await asyncio.wait({repeated}, timeout=0.2)
            assert not repeated.done(), "nobody knows yet that it is dead"
            execute(
                database_url,
                "UPDATE process SET alive_until = now()"
                " WHERE id = (SELECT process_id FROM idempotent_request)",
            )

        response = await repeated

    assert response.status_code == 202, response.text
    assert ("idempotent-replayed" in response.headers) == was_done
    assert fetch(database_url, "SELECT CAST(id AS text) FROM ingestion") == [
        (response.json()["ingestion"]["id"],)
    ]


async def test_what_takes_too_long_is_told(
    ingest_api: Client, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "WAIT_SEC", 0.1)
    await ingest_api.post("/v1/documents", json=DUCKS, headers=KEY)
    execute(
        database_url,
        "UPDATE idempotent_request SET status = NULL, process_id = gen_random_uuid();"
        "INSERT INTO process (id, alive_until) SELECT process_id, now() + interval '1 hour'"
        " FROM idempotent_request",
    )

    response = await ingest_api.post("/v1/documents", json=DUCKS, headers=KEY)

    assert (response.status_code, response.json()["error"]["code"]) == (409, "request_in_progress")
    assert response.headers["retry-after"] == "5"


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"a\tb", "ключ".encode(), b"\xe9"])
async def test_a_key_that_is_none_is_refused(
    ingest_api: Client, database_url: str, key: bytes
) -> None:
    source = (await ingest_api.request(**await creating(ingest_api, ""))).json()
    before = stored(database_url)
    headers = {b"Idempotency-Key": key}

    for url in ("/v1/documents", f"/v1/sources/{source['id']}/sync"):
        response = await ingest_api.post(url, headers=headers)

        assert_refused(response, "invalid_request", "must be one text of 1 to 255 printable ASCII")
    assert stored(database_url) == before


async def test_two_keys_are_none(ingest_api: Client) -> None:
    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]

    response = await ingest_api.post("/v1/documents", json=DUCKS, headers=headers)

    assert_refused(response, "invalid_request", "must be one text")


@pytest.mark.parametrize("key", ["x" * 255, "'; DROP TABLE account --", '"quoted, too"', "%s :a"])
async def test_any_printable_key_is_good(ingest_api: Client, key: str) -> None:
    first, again = [
        await ingest_api.post("/v1/documents", json=DUCKS, headers={"Idempotency-Key": key})
        for _ in range(2)
    ]

    assert_same(first, again)


async def test_without_a_key_nothing_is_kept(ingest_api: Client, database_url: str) -> None:
    first, again = [await ingest_api.post("/v1/documents", json=DUCKS) for _ in range(2)]

    assert first.json()["ingestion"]["id"] != again.json()["ingestion"]["id"]
    assert fetch(database_url, "SELECT FROM idempotent_request") == []


def test_openapi_shows_the_header(settings: Settings) -> None:
    paths = create_app(settings).openapi()["paths"]
    keyed = {
        f"{method.upper()} {path}": parameter
        for path, methods in paths.items()
        for method, operation in methods.items()
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "Idempotency-Key"
    }

    assert {
        "POST /v1/documents",
        "PUT /v1/documents/{document_id}",
        "POST /v1/sources",
        "POST /v1/sources/{source_id}/sync",
        "POST /v1/ingestions/{ingestion_id}/retry",
        "POST /v1/ingestions/{ingestion_id}/replay",
    } <= keyed.keys()
    for parameter in keyed.values():
        assert (parameter["in"], parameter["required"]) == ("header", False)
        assert "24 hours" in parameter["description"]
