"""Asking in chats over HTTP, and reading streams event by event."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from tests.support import Event, parse_events

__all__ = ["begin_chat", "next_event", "open_stream", "say", "stream"]


async def begin_chat(client: httpx2.AsyncClient) -> str:
    """Begin a chat; return its id."""
    response = await client.post("/v1/chats")
    assert response.status_code == 201, response.text
    chat_id: str = response.json()["id"]
    return chat_id


async def say(
    client: httpx2.AsyncClient, chat_id: str, message: str, **fields: Any
) -> dict[str, Any]:
    """Ask the next question of a chat, which must be answered."""
    response = await client.post(
        f"/v1/chats/{chat_id}/messages", json={"message": message, **fields}
    )
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def stream(
    client: httpx2.AsyncClient, chat_id: str, message: str, **fields: Any
) -> list[Event]:
    """The same as a stream, read to its end."""
    body = {"message": message, "stream": True, **fields}
    response = await client.post(f"/v1/chats/{chat_id}/messages", json=body)
    assert response.status_code == 200, response.text
    return parse_events(response.text)


@asynccontextmanager
async def open_stream(
    client: httpx2.AsyncClient,
    path: str,
    *,
    json: dict[str, Any] | None = None,
    after: int | None = None,
) -> AsyncIterator[AsyncIterator[Event]]:
    """Open a stream, whose events are read one by one; leaving the block drops the connection."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    async with client.stream(
        "GET" if json is None else "POST", path, json=json, headers=headers
    ) as response:
        assert response.status_code == 200, (await response.aread()).decode()
        yield _events(response)


async def next_event(events: AsyncIterator[Event], name: str) -> Event:
    """Read on to the next event of a name."""
    async for event in events:
        if event.name == name:
            return event
    raise AssertionError(f"the stream ended before a {name} event")


async def _events(response: httpx2.Response) -> AsyncIterator[Event]:
    text = ""
    async for piece in response.aiter_text():
        text += piece
        while "\n\n" in text:
            block, text = text.split("\n\n", 1)
            for event in parse_events(f"{block}\n\n"):
                yield event
