"""Answers that outlive their readers: read on from any process, stopped, kept."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from starlette.responses import Response, StreamingResponse

from app.core.database import Database
from settings import Settings
from tests.chat.chats.asking import begin_chat, next_event, open_stream
from tests.support import Event, eventually, execute, fetch, open_client, parse_events
from tests.upstream import Pieces, Upstream, chunk, sse, usage

ANSWERS = "SELECT message, status FROM message WHERE role = 'assistant'"
OPEN = "SELECT id FROM generation WHERE ended_at IS NULL"
WORDS = [f"w{number} " for number in range(60)]
BODY = {"message": "Count!", "retrieval": False, "stream": True}


async def ask(client: httpx2.AsyncClient) -> str:
    """Begin a chat; return where its questions go."""
    return f"/v1/chats/{await begin_chat(client)}/messages"


async def read_on(client: httpx2.AsyncClient, answer_id: str, after: int) -> list[Event]:
    """Read an answer from behind an event to its end."""
    response = await client.get(
        f"/v1/messages/{answer_id}/stream", headers={"Last-Event-ID": str(after)}
    )
    assert response.status_code == 200, response.text
    return parse_events(response.text) if response.text else []


async def leave_in_the_middle(client: httpx2.AsyncClient, pieces: Pieces) -> str:
    """Read an answer up to its third event, and drop the connection; return its id."""
    pieces.put_nowait("One")
    async with open_stream(client, await ask(client), json=BODY) as events:
        started = await anext(events)
        message = await anext(events)
    assert (message.name, message.id) == ("message", "2")
    answer_id: str = started.data["id"]
    return answer_id


def texts(events: list[Event]) -> list[str]:
    return [event.data["content"] for event in events if event.name == "message"]


async def test_who_comes_back_reads_on_where_the_connection_broke(
    upstream_api: httpx2.AsyncClient, pieces: Pieces
) -> None:
    answer_id = await leave_in_the_middle(upstream_api, pieces)
    for piece in (" two", " three", None):
        pieces.put_nowait(piece)

    events = await read_on(upstream_api, answer_id, after=2)

    assert [event.id for event in events] == ["3", "4", "5", "6"]
    assert texts(events) == [" two", " three", ""]
    assert (events[-1].name, events[-1].data["status"]) == ("done", "complete")
    stored = (await upstream_api.get(f"/v1/messages/{answer_id}")).json()
    assert (stored["message"], stored["status"]) == ("One two three", "complete")


async def test_another_process_leads_back_to_it_too(
    upstream_api: httpx2.AsyncClient, other_api: httpx2.AsyncClient, pieces: Pieces
) -> None:
    answer_id = await leave_in_the_middle(upstream_api, pieces)
    path = f"/v1/messages/{answer_id}/stream"

    async with open_stream(other_api, path, after=1) as events:
        assert (await anext(events)).data["content"] == "One"
        # as it comes, and not once it is complete
        pieces.put_nowait(" two")
        assert (await anext(events)).data["content"] == " two"
        pieces.put_nowait(None)
        rest = [event async for event in events]

    assert [event.id for event in rest] == ["4", "5"]
    assert rest[-1].name == "done"


async def test_an_answer_can_be_read_again_when_it_is_complete(
    upstream_api: httpx2.AsyncClient, other_api: httpx2.AsyncClient, pieces: Pieces
) -> None:
    for piece in ("One", " two", None):
        pieces.put_nowait(piece)
    response = await upstream_api.post(await ask(upstream_api), json=BODY)
    events = parse_events(response.text)

    for client in (upstream_api, other_api):
        assert await read_on(client, events[0].data["id"], after=0) == events
        assert await read_on(client, events[0].data["id"], after=3) == events[3:]
        assert await read_on(client, events[0].data["id"], after=len(events)) == []


async def test_a_plain_request_can_be_followed_as_a_stream(
    upstream_api: httpx2.AsyncClient, other_api: httpx2.AsyncClient, pieces: Pieces
) -> None:
    path = await ask(upstream_api)
    asking = asyncio.create_task(
        upstream_api.post(path, json={"message": "Count!", "retrieval": False})
    )

    async def generating() -> bool:
        return (await chat()) is not None

    async def chat() -> str | None:
        response = await other_api.get(path.removesuffix("/messages"))
        generating: str | None = response.json()["generating"]
        return generating

    await eventually(generating)
    answer_id = await chat()
    pieces.put_nowait("One")
    async with open_stream(other_api, f"/v1/messages/{answer_id}/stream") as events:
        assert (await next_event(events, "message")).data["content"] == "One"
        pieces.put_nowait(None)
        await next_event(events, "done")

    assert (await asking).json()["message"] == "One"


async def test_when_nobody_comes_back_the_upstream_call_ends_and_the_part_is_kept(
    upstream_settings: Settings, upstream: Upstream, pieces: Pieces, embedder: object
) -> None:
    impatient = upstream_settings.model_copy(update={"stream_resume_sec": 0.5})
    async with open_client(impatient) as client:
        answer_id = await leave_in_the_middle(client, pieces)
        async with asyncio.timeout(5):
            await upstream.stream_ended.wait()

        async def kept() -> bool:
            stored = (await client.get(f"/v1/messages/{answer_id}")).json()
            return (stored.get("message"), stored.get("status")) == ("One", "cancelled")

        await eventually(kept)
        *_, done = await read_on(client, answer_id, after=0)

    assert (done.name, done.data["status"]) == ("done", "cancelled")


async def test_a_reader_in_another_process_keeps_it_going(
    upstream_settings: Settings, upstream: Upstream, pieces: Pieces, embedder: object
) -> None:
    impatient = upstream_settings.model_copy(update={"stream_resume_sec": 3})
    async with open_client(impatient) as client, open_client(impatient) as other:
        answer_id = await leave_in_the_middle(client, pieces)
        path = f"/v1/messages/{answer_id}/stream"
        async with open_stream(other, path, after=2) as events:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(5):
                    await upstream.stream_ended.wait()
            pieces.put_nowait(" two")
            assert (await anext(events)).data["content"] == " two"
            pieces.put_nowait(None)
            assert (await next_event(events, "done")).data["status"] == "complete"


@pytest.mark.parametrize("here", [True, False], ids=["same process", "other process"])
async def test_an_answer_can_be_stopped(
    upstream_api: httpx2.AsyncClient,
    other_api: httpx2.AsyncClient,
    upstream: Upstream,
    pieces: Pieces,
    here: bool,
) -> None:
    path = await ask(upstream_api)
    pieces.put_nowait("One")
    async with open_stream(upstream_api, path, json=BODY) as events:
        started = await anext(events)
        await next_event(events, "message")
        client = upstream_api if here else other_api
        stopped = await client.post(f"/v1/messages/{started.data['id']}/cancel")
        last = await next_event(events, "done")

    assert stopped.json() == {"id": started.data["id"], "status": "cancelled", "message": "One"}
    assert last.data["status"] == "cancelled"
    async with asyncio.timeout(1):
        await upstream.stream_ended.wait()
    upstream.behave = upstream.answers("Well")
    again = await upstream_api.post(path, json={"message": "Well?", "retrieval": False})
    assert again.status_code == 200


async def test_an_answer_that_is_stopped_before_its_first_word_leaves_none(
    upstream_api: httpx2.AsyncClient, pieces: Pieces
) -> None:
    path = await ask(upstream_api)
    asking = asyncio.create_task(
        upstream_api.post(path, json={"message": "Count!", "retrieval": False})
    )

    async def begun() -> bool:
        chat = (await upstream_api.get(path.removesuffix("/messages"))).json()
        return chat["generating"] is not None

    await eventually(begun)
    chat = (await upstream_api.get(path.removesuffix("/messages"))).json()
    stopped = await upstream_api.post(f"/v1/messages/{chat['generating']}/cancel")

    assert stopped.json()["status"] == "cancelled"
    assert stopped.json()["message"] == ""
    assert (await asking).status_code == 409
    assert (await asking).json()["error"]["code"] == "answer_cancelled"


async def test_an_answer_that_has_ended_stays_as_it_is(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("One")
    response = await upstream_api.post(
        await ask(upstream_api), json={"message": "Count!", "retrieval": False}
    )

    stopped = await upstream_api.post(f"/v1/messages/{response.json()['id']}/cancel")

    assert stopped.status_code == 200
    assert (stopped.json()["status"], stopped.json()["message"]) == ("complete", "One")


async def test_what_does_not_exist_can_neither_be_resumed_nor_stopped(
    api: httpx2.AsyncClient,
) -> None:
    nowhere = "/v1/messages/0199f0a2-7a3e-7c1e-9d2b-0f6a3c5b8d11"

    assert (await api.get(f"{nowhere}/stream")).status_code == 404
    assert (await api.post(f"{nowhere}/cancel")).status_code == 404


@pytest.mark.parametrize("last", ["-1", "x", "9999999999999"])
async def test_what_is_no_event_number_is_refused(api: httpx2.AsyncClient, last: str) -> None:
    response = await api.get(
        "/v1/messages/0199f0a2-7a3e-7c1e-9d2b-0f6a3c5b8d11/stream",
        headers={"Last-Event-ID": last},
    )

    assert response.status_code == 422


async def test_a_question_outside_of_chats_can_ask_to_be_resumable(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("One")
    for body, resumable in [({"resumable": True}, True), ({}, False)]:
        response = await upstream_api.post(
            "/v1/qa-stream", json={"message": "Hi?", "selected_text": "Hello.", **body}
        )
        events = parse_events(response.text)

        assert (events[0].name == "started") is resumable
        answer_id = events[-1].data["id"]
        resumed = await upstream_api.get(f"/v1/messages/{answer_id}/stream")
        assert resumed.status_code == (200 if resumable else 404)


async def test_an_answer_that_ends_with_its_reader_is_stopped_in_no_other_way(
    upstream_settings: Settings, pieces: Pieces, embedder: object
) -> None:
    # It is counted, and so known to PostgreSQL.
    limited = upstream_settings.model_copy(update={"concurrent_generations": 4})
    async with open_client(limited) as client:
        pieces.put_nowait("One")
        async with open_stream(
            client, "/v1/qa-stream", json={"message": "Hi?", "selected_text": "Hello."}
        ) as events:
            message = await next_event(events, "message")
            path = f"/v1/messages/{message.data['id']}/cancel"
            stopped = await client.post(path)
            pieces.put_nowait(None)
            await next_event(events, "done")
        ended = await client.post(path)

    assert stopped.status_code == 404
    assert (ended.status_code, ended.json()["status"]) == (200, "complete")


async def test_any_other_stream_ends_with_its_reader(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, pieces: Pieces
) -> None:
    pieces.put_nowait("One")
    async with open_stream(
        upstream_api, "/v1/qa-stream", json={"message": "Hi?", "selected_text": "Hello."}
    ) as events:
        await next_event(events, "message")

    async with asyncio.timeout(1):
        await upstream.stream_ended.wait()


async def test_when_its_process_dies_another_keeps_what_readers_have_seen(
    upstream_settings: Settings, database: Database, upstream: Upstream, pieces: Pieces
) -> None:
    async with open_client(upstream_settings) as client, open_client(upstream_settings) as other:
        answer_id = await leave_in_the_middle(client, pieces)
        # As if the process that makes it had stopped saying that it is alive.
        execute(
            database.url,
            "UPDATE generation SET process_id = gen_random_uuid()",
        )

        events = await read_on(other, answer_id, after=2)

        assert [(event.name, event.id) for event in events] == [("error", "3")]
        assert events[0].data["code"] == "server_stopping"
        stored = (await other.get(f"/v1/messages/{answer_id}")).json()
        assert (stored["message"], stored["status"]) == ("One", "failed")
        trace = await other.get(f"/v1/messages/{answer_id}/trace")
        assert trace.status_code == 200


async def test_a_chat_whose_process_has_died_goes_on(
    upstream_api: httpx2.AsyncClient, database_url: str, upstream: Upstream, pieces: Pieces
) -> None:
    path = await ask(upstream_api)
    pieces.put_nowait("One")
    async with open_stream(upstream_api, path, json=BODY) as events:
        await next_event(events, "message")
        execute(database_url, "UPDATE generation SET process_id = gen_random_uuid()")
        upstream.behave = upstream.answers("Well")

        async def answered() -> bool:
            body = {"message": "Well?", "retrieval": False}
            return (await upstream_api.post(path, json=body)).status_code == 200

        await eventually(answered)

    said = [one["message"] for one in (await upstream_api.get(path)).json()]
    assert said == ["Well", "Well?", "One", "Count!"]


async def test_events_that_are_no_longer_kept_are_deleted(
    upstream_settings: Settings, database_url: str, upstream: Upstream, embedder: object
) -> None:
    upstream.behave = upstream.answers("One")
    async with open_client(upstream_settings) as client:
        response = await client.post(await ask(client), json=BODY)
        answer_id = parse_events(response.text)[0].data["id"]
        execute(database_url, "UPDATE generation SET expires_at = now() - interval '1 second'")

    # Done when a process starts, and every half minute.
    async with open_client(upstream_settings) as client:

        async def deleted() -> bool:
            return not fetch(database_url, "SELECT FROM generation_event")

        await eventually(deleted)
        gone = await client.get(f"/v1/messages/{answer_id}/stream")
        kept = await client.get(f"/v1/messages/{answer_id}")

    assert gone.status_code == 404
    assert "kept for an hour" in gone.json()["detail"]
    assert kept.json()["message"] == "One"


async def test_a_server_that_stops_keeps_what_there_is(
    upstream_settings: Settings, database_url: str, pieces: Pieces, embedder: object
) -> None:
    async with open_client(upstream_settings) as client:
        await leave_in_the_middle(client, pieces)

    assert fetch(database_url, ANSWERS) == [("One", "cancelled")]
    assert fetch(database_url, OPEN) == []
    assert fetch(database_url, "SELECT FROM process") == []


async def slowly(_: dict[str, Any]) -> Response:
    """Say sixty words, one after the other."""

    async def body() -> AsyncIterator[str]:
        for word in WORDS:
            yield sse(chunk(word))
            await asyncio.sleep(0.01)
        yield sse(chunk(None, finish_reason="stop")) + sse(usage()) + "data: [DONE]\n\n"

    return StreamingResponse(body(), media_type="text/event-stream")


async def read_some(events: AsyncIterator[Event], read: list[Event], count: int) -> bool:
    """Read so many events at most; return whether the last one was among them."""
    async for event in events:
        read.append(event)
        count -= 1
        if event.name == "done" or not count:
            return event.name == "done"
    return False


async def read_with_breaks(
    clients: tuple[httpx2.AsyncClient, ...], seed: int
) -> tuple[list[Event], int]:
    """Ask, read a few events, and come back elsewhere, until there are no more."""
    dice = random.Random(seed)
    read: list[Event] = []
    breaks = 0
    async with open_stream(clients[0], await ask(clients[0]), json=BODY) as events:
        complete = await read_some(events, read, dice.randint(1, 4))
    path = f"/v1/messages/{read[0].data['id']}/stream"
    while not complete:
        breaks += 1
        async with open_stream(dice.choice(clients), path, after=len(read)) as events:
            complete = await read_some(events, read, dice.randint(1, 4))
    return read, breaks


async def test_five_hundred_broken_connections_lose_and_repeat_nothing(
    upstream_api: httpx2.AsyncClient, other_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = slowly
    clients = (upstream_api, other_api)

    results = await asyncio.gather(*(read_with_breaks(clients, seed) for seed in range(25)))

    for read, _ in results:
        assert [event.id for event in read] == [str(n + 1) for n in range(len(read))]
        assert "".join(texts(read)) == "".join(WORDS)
    assert sum(breaks for _, breaks in results) >= 500
