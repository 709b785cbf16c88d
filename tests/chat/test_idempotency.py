"""`Idempotency-Key` on questions: asked once, answered the same, as an answer and as a stream."""

import asyncio
from typing import Any

import httpx2
import pytest

from tests.chat.chats.asking import begin_chat, next_event, open_stream
from tests.support import execute, fetch, parse_events
from tests.upstream import Upstream

KEY = {"Idempotency-Key": "the first"}
MESSAGES = "SELECT role, message FROM message ORDER BY created_at, role DESC"
SELECTED = {"message": "When is it open?", "selected_text": "It is open from 9 to 17."}


async def send(
    client: httpx2.AsyncClient, path: str, body: dict[str, Any], **headers: str
) -> httpx2.Response:
    return await client.post(path, json=body, headers=KEY | headers)


async def paths(client: httpx2.AsyncClient) -> dict[str, dict[str, Any]]:
    """Every way to ask, with what is sent."""
    chat = f"/v1/chats/{await begin_chat(client)}/messages"
    return {
        "/v1/qa-create": SELECTED,
        "/v1/qa-stream": SELECTED,
        chat: SELECTED,
        f"{chat}?stream": SELECTED | {"stream": True},
    }


@pytest.mark.parametrize("way", range(4), ids=["answer", "stream", "chat", "chat stream"])
async def test_a_question_that_is_sent_again_gets_the_same_answer(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, way: int
) -> None:
    path, body = list((await paths(upstream_api)).items())[way]
    first = await send(upstream_api, path, body)
    upstream.behave = upstream.refuses(500)

    again = await send(upstream_api, path, body)

    assert (first.status_code, again.status_code) == (200, 200)
    assert again.text == first.text
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("way", range(4), ids=["answer", "stream", "chat", "chat stream"])
async def test_two_at_once_in_two_processes_are_one(
    upstream_api: httpx2.AsyncClient,
    other_api: httpx2.AsyncClient,
    upstream: Upstream,
    database_url: str,
    way: int,
) -> None:
    path, body = list((await paths(upstream_api)).items())[way]

    responses = await asyncio.gather(
        *(send(client, path, body) for client in (upstream_api, other_api) * 3)
    )

    assert {response.status_code for response in responses} == {200}
    assert len({response.text for response in responses}) == 1
    assert len(upstream.requests) == 1
    assert [role for role, _ in fetch(database_url, MESSAGES)] == ["user", "assistant"]


async def test_an_answer_given_again_counts_once_too(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, database_url: str
) -> None:
    chat_id = await begin_chat(upstream_api)
    body = {"message": "Hi?", "retrieval": False}
    await upstream_api.post(f"/v1/chats/{chat_id}/messages", json=body)
    again = f"/v1/chats/{chat_id}/regenerate"

    first = await send(upstream_api, again, {"retrieval": False})
    second = await send(upstream_api, again, {"retrieval": False})

    assert first.json() == second.json()
    assert [role for role, _ in fetch(database_url, MESSAGES)].count("assistant") == 2


async def test_another_question_needs_another_key(upstream_api: httpx2.AsyncClient) -> None:
    await send(upstream_api, "/v1/qa-create", SELECTED)

    other = await send(upstream_api, "/v1/qa-create", SELECTED | {"message": "Where is it?"})
    elsewhere = await send(upstream_api, "/v1/qa-stream", SELECTED)

    for response in (other, elsewhere):
        assert response.status_code == 422
        assert response.json()["error"]["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("path", ["/v1/qa-create", "/v1/qa-stream"])
async def test_a_question_that_failed_can_be_sent_again(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, path: str
) -> None:
    upstream.behave = upstream.refuses(500)
    assert (await send(upstream_api, path, SELECTED)).status_code == 502

    upstream.behave = upstream.answers("From 9. [1]")
    assert (await send(upstream_api, path, SELECTED)).status_code == 200


async def test_a_stream_that_broke_off_can_be_sent_again(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.says("data: {}\n\n", "nonsense\n\n")
    failed = parse_events((await send(upstream_api, "/v1/qa-stream", SELECTED)).text)
    assert failed[-1].name == "error"

    upstream.behave = upstream.answers("From 9. [1]")
    events = parse_events((await send(upstream_api, "/v1/qa-stream", SELECTED)).text)

    assert events[-1].name == "done"


async def test_who_lost_a_stream_gets_all_of_it_by_sending_it_again(
    upstream_api: httpx2.AsyncClient, other_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    pieces.put_nowait("From")
    upstream.behave = upstream.types(pieces)
    async with upstream_api.stream("POST", "/v1/qa-stream", json=SELECTED, headers=KEY) as response:
        await anext(response.aiter_text())

    pieces.put_nowait(" 9. [1]")
    pieces.put_nowait(None)
    events = parse_events((await send(other_api, "/v1/qa-stream", SELECTED)).text)

    assert [event.id for event in events] == [str(n + 1) for n in range(len(events))]
    text = "".join(event.data["content"] for event in events if event.name == "message")
    assert text == "From 9. [1]"
    assert len(upstream.requests) == 1


async def test_a_stream_whose_process_died_can_be_sent_again(
    upstream_api: httpx2.AsyncClient,
    other_api: httpx2.AsyncClient,
    upstream: Upstream,
    database_url: str,
) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    pieces.put_nowait("From")
    upstream.behave = upstream.types(pieces)
    async with open_stream(
        upstream_api, "/v1/qa-stream", json=SELECTED | {"resumable": True}
    ) as events:
        started = await next_event(events, "started")
        await next_event(events, "message")
    execute(database_url, "UPDATE generation SET process_id = gen_random_uuid()")
    execute(
        database_url,
        "INSERT INTO idempotent_request (account_id, key, request_hash, process_id, generation_id)"
        " SELECT account_id, 'the first', decode(repeat('00', 32), 'hex'), process_id, id"
        " FROM generation",
    )

    resumed = await other_api.get(f"/v1/messages/{started.data['id']}/stream")
    upstream.behave = upstream.answers("From 9. [1]")
    again = await send(other_api, "/v1/qa-create", SELECTED)

    assert parse_events(resumed.text)[-1].name == "error"
    assert again.status_code == 200


async def test_what_a_key_repeats_is_gone_with_its_chat(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, database_url: str
) -> None:
    for body in (SELECTED, SELECTED | {"stream": True}):
        chat_id = await begin_chat(upstream_api)
        path = f"/v1/chats/{chat_id}/messages"
        assert (
            await send(upstream_api, path, body, **{"Idempotency-Key": path})
        ).status_code == 200

        await upstream_api.delete(f"/v1/chats/{chat_id}")

        again = await send(upstream_api, path, body, **{"Idempotency-Key": path})
        assert again.status_code == 404
        assert "open" not in again.text
    assert fetch(database_url, "SELECT FROM idempotent_request WHERE body IS NOT NULL") == []


async def test_a_stream_that_was_stopped_can_be_sent_again(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    pieces.put_nowait("From")
    upstream.behave = upstream.types(pieces)
    async with upstream_api.stream("POST", "/v1/qa-stream", json=SELECTED, headers=KEY) as response:
        events = parse_events(await anext(response.aiter_text()))
        await upstream_api.post(f"/v1/messages/{events[0].data['id']}/cancel")

    upstream.behave = upstream.answers("From 9. [1]")
    again = parse_events((await send(upstream_api, "/v1/qa-stream", SELECTED)).text)

    assert again[-1].data["status"] == "complete"
