"""Connections that break again and again."""

from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from app.cli.connection import PAUSES_SEC, opened
from app.cli.errors import RequestFailed
from tests.serving import serve


@pytest.mark.parametrize("is_getting_on", [False, True])
async def test_only_what_is_new_gives_a_broken_connection_another_chance(
    monkeypatch: pytest.MonkeyPatch, *, is_getting_on: bool
) -> None:
    monkeypatch.setattr("app.cli.connection.PAUSES_SEC", (0.01,) * len(PAUSES_SEC))
    asked = 0

    async def events() -> AsyncIterator[str]:
        number = asked if is_getting_on else 1
        yield f'event: progress\ndata: {{"stored": {number}}}\n\n'
        if asked == 20:
            yield 'event: done\ndata: {"stored": 20}\n\n'

    async def follow(_: Request) -> StreamingResponse:
        nonlocal asked
        asked += 1
        return StreamingResponse(events(), media_type="text/event-stream")

    last = ""
    async with serve(Starlette(routes=[Route("/run", follow)])) as url, opened(url, None) as server:
        try:
            async for event in server.follow("/run"):
                last = event.name
        except RequestFailed as error:
            last = error.code

    assert last == ("done" if is_getting_on else "connection_lost")
    assert asked == (20 if is_getting_on else 1 + len(PAUSES_SEC))
