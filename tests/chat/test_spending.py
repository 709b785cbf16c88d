"""Tokens of a language model: what an answer has cost is spent, however it ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from settings import Settings
from tests.chat.chats.asking import begin_chat, next_event, open_stream
from tests.support import eventually, execute, fetch, open_client, parse_events
from tests.upstream import MODEL, Pieces, Upstream, chunk, completion, sse

PER_DAY = 1000
# As the language model says, of every answer.
COST = 18
QUESTION = {"message": "Count!"}
SELECTED = {"message": "When is it open?", "selected_text": "It is open from 9 to 17."}
# The upstream says nothing of what these have cost: the question in its prompt, and the words.
WORDS = "One two three four five six seven eight nine ten "
ESTIMATED = range(10, 60)


@pytest.fixture
async def client(
    upstream_settings: Settings, embedder: object
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a process where everybody has so many tokens a day."""
    limited = upstream_settings.model_copy(update={"tokens_per_day": PER_DAY})
    async with open_client(limited) as client:
        yield client


def spent(database_url: str) -> int:
    """What the account has used; what its address has is the same here."""
    counts = {count for (count,) in fetch(database_url, "SELECT count FROM rate_limit")}
    assert len(counts) <= 1
    return counts.pop() if counts else 0


async def is_spent(database_url: str) -> int:
    """Wait until something was; return how much."""

    async def is_any() -> bool:
        return spent(database_url) > 0

    await eventually(is_any)
    return spent(database_url)


def spend_all(database_url: str) -> None:
    execute(database_url, f"UPDATE rate_limit SET count = {PER_DAY}")


async def post(client: httpx2.AsyncClient, path: str, body: dict[str, Any] | None = None) -> Any:
    """Send it, which must succeed; return the answer, of a stream its events."""
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    is_json = response.headers["content-type"] == "application/json"
    return response.json() if is_json else parse_events(response.text)


async def test_every_answer_spends_what_the_language_model_says(
    client: httpx2.AsyncClient, database_url: str
) -> None:
    chat = f"/v1/chats/{await begin_chat(client)}"
    second = (f"{chat}/messages", SELECTED | {"stream": True})
    ways: list[tuple[str, dict[str, Any] | None]] = [
        ("/v1/completion", QUESTION),
        ("/v1/completion-stream", QUESTION),
        ("/v1/qa-create", SELECTED),
        ("/v1/qa-stream", SELECTED),
        ("/v1/qa-stream", SELECTED | {"resumable": True}),
        (f"{chat}/messages", QUESTION | {"retrieval": False}),
        second,
        (f"{chat}/regenerate", {"retrieval": False, "stream": True}),
    ]

    for number, (path, body) in enumerate(ways):
        before = spent(database_url)
        await post(client, path, body)
        # A chat's second question is put into other words first.
        calls = 2 if (path, body) == second else 1
        assert spent(database_url) - before == calls * COST, (number, path)


async def test_an_answer_given_again_for_its_trace_spends_its_tokens(
    client: httpx2.AsyncClient, database_url: str
) -> None:
    answer = await post(client, "/v1/completion", QUESTION)

    await post(client, f"/v1/messages/{answer['id']}/replay")

    assert spent(database_url) == 2 * COST


async def test_what_needs_no_language_model_costs_nothing(
    client: httpx2.AsyncClient, database_url: str, upstream: Upstream
) -> None:
    answer = await post(client, "/v1/qa-create", QUESTION)
    await post(client, "/v1/search", {"query": "Count!"})

    assert answer["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "cost": 0}
    assert upstream.requests == []
    assert spent(database_url) == 0


async def test_a_request_that_is_sent_again_spends_once(
    client: httpx2.AsyncClient, database_url: str
) -> None:
    for _ in range(2):
        response = await client.post(
            "/v1/qa-create", json=SELECTED, headers={"Idempotency-Key": "the first"}
        )
        assert response.status_code == 200

    assert spent(database_url) == COST


async def test_an_answer_that_is_stopped_spends_what_was_said(
    client: httpx2.AsyncClient, database_url: str, pieces: Pieces
) -> None:
    path = f"/v1/chats/{await begin_chat(client)}/messages"
    pieces.put_nowait(WORDS)
    body = QUESTION | {"retrieval": False, "stream": True}
    async with open_stream(client, path, json=body) as events:
        started = await next_event(events, "started")
        await next_event(events, "message")
        await post(client, f"/v1/messages/{started.data['id']}/cancel")

    assert spent(database_url) in ESTIMATED


async def test_an_answer_whose_reader_leaves_spends_what_was_said(
    client: httpx2.AsyncClient, database_url: str, pieces: Pieces
) -> None:
    pieces.put_nowait(WORDS)
    async with open_stream(client, "/v1/completion-stream", json=QUESTION) as events:
        await next_event(events, "message")

    assert await is_spent(database_url) in ESTIMATED


async def test_an_answer_in_a_chat_that_is_deleted_spends_what_was_said(
    client: httpx2.AsyncClient, database_url: str, pieces: Pieces
) -> None:
    chat = f"/v1/chats/{await begin_chat(client)}"
    pieces.put_nowait(WORDS)
    body = QUESTION | {"retrieval": False, "stream": True}
    async with open_stream(client, f"{chat}/messages", json=body) as events:
        await next_event(events, "message")
        assert (await client.delete(chat)).status_code == 204
        assert [event.name async for event in events][-1] == "error"

    assert await is_spent(database_url) in ESTIMATED
    assert fetch(database_url, "SELECT FROM message") == []


async def test_an_answer_that_breaks_off_spends_what_was_said(
    client: httpx2.AsyncClient, database_url: str, upstream: Upstream
) -> None:
    upstream.behave = upstream.says(sse(chunk(WORDS)), then_break=True)

    events = await post(client, "/v1/completion-stream", QUESTION)

    assert events[-1].name == "error"
    assert spent(database_url) in ESTIMATED


@pytest.mark.parametrize("path", ["/v1/completion", "/v1/completion-stream"])
async def test_an_upstream_that_says_nothing_of_tokens_costs_about_as_much(
    client: httpx2.AsyncClient, database_url: str, upstream: Upstream, path: str
) -> None:
    silent = {name: value for name, value in completion(WORDS).items() if name != "usage"}
    upstream.behave = upstream.sends(silent)
    if path.endswith("stream"):
        end = sse(chunk(None, finish_reason="stop")) + "data: [DONE]\n\n"
        upstream.behave = upstream.says(sse(chunk(WORDS)), end)

    await post(client, path, QUESTION)

    assert spent(database_url) in ESTIMATED


async def test_a_question_that_is_refused_spends_nothing(
    client: httpx2.AsyncClient, database_url: str, upstream: Upstream
) -> None:
    upstream.behave = upstream.refuses(400)
    responses = [
        await client.post("/v1/completion", json=QUESTION),
        await client.post("/v1/completion-stream", json=QUESTION),
        await client.post("/v1/completion", json=QUESTION | {"model": "unknown"}),
    ]

    assert [response.status_code for response in responses] == [502, 502, 422]
    assert spent(database_url) == 0


async def test_whose_tokens_are_used_up_asks_nothing_but_reads_on_and_stops_what_was_begun(
    client: httpx2.AsyncClient, database_url: str, pieces: Pieces
) -> None:
    chat = f"/v1/chats/{await begin_chat(client)}"
    body = QUESTION | {"retrieval": False, "stream": True}
    for piece in ("One", None):
        pieces.put_nowait(piece)
    complete = await post(client, f"{chat}/messages", body)
    spend_before = spent(database_url)
    pieces.put_nowait("Two")
    async with open_stream(client, f"{chat}/messages", json=body) as events:
        started = await next_event(events, "started")
        await next_event(events, "message")
        spend_all(database_url)
        asked = [
            await client.post("/v1/completion", json=QUESTION),
            await client.post(f"{chat}/messages", json=body),
            await client.post(f"{chat}/regenerate", json={}),
            await client.post(f"/v1/messages/{complete[0].data['id']}/replay"),
        ]
        read = [
            await client.get(f"{chat}/messages"),
            await client.get(f"/v1/messages/{complete[0].data['id']}/stream"),
            await client.post(f"/v1/messages/{started.data['id']}/cancel"),
        ]
        done = await next_event(events, "done")

    assert spend_before == COST
    assert [response.status_code for response in asked] == [429] * 4
    assert {response.json()["error"]["code"] for response in asked} == {"too_many_tokens"}
    assert [response.status_code for response in read] == [200] * 3
    assert parse_events(read[1].text) == complete
    assert done.data["status"] == "cancelled"
    # It has cost what it has cost.
    assert spent(database_url) > PER_DAY


async def test_an_answer_given_again_takes_one_of_the_slots(
    upstream_settings: Settings, embedder: object, upstream: Upstream, pieces: Pieces
) -> None:
    one_at_a_time = upstream_settings.model_copy(update={"concurrent_generations": 1})
    async with open_client(one_at_a_time) as client:
        for piece in ("One", None):
            pieces.put_nowait(piece)
        events = await post(client, "/v1/completion-stream", QUESTION)
        again = f"/v1/messages/{events[-1].data['id']}/replay"
        async with open_stream(client, "/v1/completion-stream", json=QUESTION) as open_events:
            pieces.put_nowait("Two")
            await next_event(open_events, "message")
            refused = await client.post(again)
            pieces.put_nowait(None)
            await next_event(open_events, "done")
        goes_on = asyncio.Event()

        async def answer_late(body: dict[str, Any]) -> Any:
            await goes_on.wait()
            return await upstream.answers("One")(body)

        upstream.behave = answer_late
        asked = len(upstream.requests)
        replaying = asyncio.create_task(client.post(again))

        async def is_generating() -> bool:
            return len(upstream.requests) > asked

        await eventually(is_generating)
        refused_too = await client.post("/v1/completion", json=QUESTION)
        goes_on.set()
        replay = await replaying
        free = await client.post("/v1/completion", json=QUESTION)

    for response in (refused, refused_too):
        assert response.status_code == 429
        assert response.json()["error"]["code"] == "too_many_generations"
    assert (replay.status_code, free.status_code) == (200, 200)
    assert replay.json()["answer"]["model"] == MODEL
