"""Streams for pages: what an answer looks like while it is being made."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx2

from app.chat.rendered import with_html
from tests.chat.chats.asking import begin_chat, next_event, open_stream, say
from tests.support import Event, parse_events
from tests.upstream import Pieces, Upstream

BODY = {"message": "Count!", "retrieval": False, "stream": True}


def page_of(events: list[Event]) -> str:
    """Put the blocks together as a page does."""
    blocks: list[str] = []
    for event in events:
        if event.name == "html":
            blocks[event.data["first"] :] = event.data["blocks"]
    return "".join(blocks)


async def test_an_answer_is_drawn_while_it_comes(
    upstream_api: httpx2.AsyncClient, pieces: Pieces
) -> None:
    path = f"/v1/chats/{await begin_chat(upstream_api)}/messages?html=true"
    async with open_stream(upstream_api, path, json=BODY) as events:
        pieces.put_nowait("One *two*\n\nthr")
        first = await next_event(events, "html")
        pieces.put_nowait("ee <b>")
        second = await next_event(events, "html")
        pieces.put_nowait(None)
        await next_event(events, "done")

    assert first.data == {"first": 0, "blocks": ["<p>One <em>two</em></p>\n", "<p>thr</p>\n"]}
    # Only what has changed, and without a number that would be missing from the stored events.
    assert second.data == {"first": 1, "blocks": ["<p>three &lt;b&gt;</p>\n"]}
    assert second.id is None


async def test_without_the_wish_no_html_comes(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    path = f"/v1/chats/{await begin_chat(upstream_api)}/messages"
    async with open_stream(upstream_api, path, json=BODY) as events:
        names = [event.name async for event in events]

    assert "html" not in names
    assert names[-1] == "done"


async def test_who_comes_back_gets_all_of_it(
    upstream_api: httpx2.AsyncClient, pieces: Pieces
) -> None:
    path = f"/v1/chats/{await begin_chat(upstream_api)}/messages?html=true"
    for piece in ("One", " two", " three"):
        pieces.put_nowait(piece)
    async with open_stream(upstream_api, path, json=BODY) as events:
        started = await anext(events)
        message = await next_event(events, "message")
    pieces.put_nowait(None)

    response = await upstream_api.get(
        f"/v1/messages/{started.data['id']}/stream?html=true",
        headers={"Last-Event-ID": str(message.id)},
    )

    rest = parse_events(response.text)
    assert page_of(rest) == "<p>One two three</p>\n"
    numbers = [int(event.id) for event in rest if event.id]
    assert numbers == list(range(int(message.id or 0) + 1, numbers[-1] + 1))


async def test_stored_answers_have_their_html_when_it_is_wanted(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("Look *here*")
    chat_id = await begin_chat(upstream_api)
    await say(upstream_api, chat_id, "Where *is* it?", retrieval=False)

    plain, drawn = [
        (await upstream_api.get(f"/v1/chats/{chat_id}/messages{query}")).json()
        for query in ("", "?html=true")
    ]

    assert [message["html"] for message in plain] == [None, None]
    assert [message["html"] for message in drawn] == [
        ["<p>Look <em>here</em></p>\n"],
        None,
    ]


def encoded(name: str, number: int, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\nid: {number}\n\n".encode()


async def test_the_whole_answer_is_drawn_before_what_follows_it() -> None:
    async def events() -> AsyncGenerator[bytes]:
        yield encoded("message", 1, '{"content": "a"}')
        yield encoded("message", 2, '{"content": "b"}')
        yield encoded("citations", 3, "[]")

    got = parse_events("".join([one.decode() async for one in with_html(events())]))

    assert page_of(got[: [event.name for event in got].index("citations")]) == "<p>ab</p>\n"


async def test_what_feeds_it_is_closed_with_it_at_once() -> None:
    closed = asyncio.Event()

    async def events() -> AsyncGenerator[bytes]:
        try:
            yield encoded("message", 1, '{"content": "a"}')
            await asyncio.Event().wait()
        finally:
            closed.set()

    stream = with_html(events())
    await anext(stream)
    reading: asyncio.Task[Any] = asyncio.create_task(_read_on(stream))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading}, timeout=5)

    assert closed.is_set()
    assert reading.cancelled()


async def _read_on(stream: AsyncGenerator[bytes]) -> None:
    async for _ in stream:
        pass
