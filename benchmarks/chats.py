"""What looking at one's chats takes among those of many others."""

import http.client
import json
import time
from typing import Any

import psycopg

from app.resources.database import open_database
from benchmarks.crowd import WORD, crowd
from benchmarks.environment import Environment, milliseconds
from benchmarks.result import Result

__all__ = ["chats"]

ACCOUNTS = 300
CHATS = 20
MESSAGES = 100_000
CALLS = 300
WARM_UP_CALLS = 30


async def chats(environment: Environment) -> list[Result]:
    """Measure the lists of a server, with 300 accounts, 6,000 chats and 100,000 messages."""
    async with open_database(environment.settings) as database:
        async with await psycopg.AsyncConnection.connect(database.url) as connection:
            await connection.execute(
                crowd(accounts=ACCOUNTS, chats=CHATS, messages=MESSAGES).encode()
            )
        async with environment.server() as url:
            # As in `answers`: what a client takes is not the service's own time.
            service = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
            mine = _get(service, "/v1/chats")
            assert len(mine) == CHATS
            paths = {
                "a chat's last page": f"/v1/chats/{mine[0]['id']}/messages",
                "the chats of an account": "/v1/chats",
                "the chats with a word that is in all": f"/v1/chats?search={WORD}",
                "the chats with a word that is in none": f"/v1/chats?search={WORD}less",
            }
            return [
                Result(f"listing {name}, median", _median(service, path), "ms", at_most=10)
                for name, path in paths.items()
            ]


def _median(service: http.client.HTTPConnection, path: str) -> float:
    """Return the milliseconds of a request."""
    times = []
    for number in range(WARM_UP_CALLS + CALLS):
        began = time.perf_counter()
        _get(service, path)
        if number >= WARM_UP_CALLS:
            times.append(time.perf_counter() - began)
    return milliseconds(times)


def _get(service: http.client.HTTPConnection, path: str) -> list[dict[str, Any]]:
    service.request("GET", path)
    response = service.getresponse()
    body = response.read()
    assert response.status == http.HTTPStatus.OK, body
    rows: list[dict[str, Any]] = json.loads(body)
    return rows
