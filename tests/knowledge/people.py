"""Several accounts that send requests to one server."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx2
from fastapi import FastAPI

from app.accounts.models import Caller
from app.main import create_app
from settings import Settings
from tests.accounts.callers import add_account, as_account
from tests.serving import serve

__all__ = ["People", "a_repository", "open_people", "told"]

JSON = dict[str, Any]


class People:
    """Ann, Bob and an admin."""

    def __init__(self, app: FastAPI, client: httpx2.AsyncClient, database_url: str) -> None:
        self.client = client
        self.database_url = database_url
        self.app = app
        self.ann = add_account(database_url, "ann@example.com")
        self.bob = add_account(database_url, "bob@example.com")
        self.admin = add_account(database_url, "admin@example.com", is_admin=True)

    async def send(self, caller: Caller, method: str, path: str, **body: Any) -> httpx2.Response:
        """Send a request as somebody."""
        with as_account(self.app, caller):
            return await self.client.request(method, path, json=body or None)

    async def get(self, caller: Caller, path: str) -> Any:
        """Return what somebody reads at a path."""
        response = await self.send(caller, "GET", path)
        assert response.status_code == 200, response.text
        return response.json()

    async def create(self, caller: Caller, name: str = "a", **fields: Any) -> JSON:
        """Create a source as somebody; nothing is cloned, since no worker runs."""
        body = {"config": a_repository(name)} | fields
        response = await self.send(caller, "POST", "/v1/sources", **body)
        assert response.status_code == 201, response.text
        source: JSON = response.json()
        return source

    @asynccontextmanager
    async def stream(self, caller: Caller, path: str) -> AsyncIterator[httpx2.Response]:
        """Open a stream as somebody; while it is open, others may send requests."""
        with as_account(self.app, caller):
            async with self.client.stream("GET", path) as response:
                yield response


def a_repository(name: str, **fields: Any) -> JSON:
    """What a source says of a repository."""
    return {"kind": "github", "repository": f"acme/{name}", **fields}


def told(response: httpx2.Response, *ids: UUID | str) -> tuple[int, JSON]:
    """Return what an answer tells, but for the ids in it."""
    body = response.text
    for known in ids:
        body = body.replace(str(known), "ID")
    request_id = response.json()["error"]["request_id"]
    assert request_id
    return response.status_code, json.loads(body.replace(request_id, ""))


@asynccontextmanager
async def open_people(settings: Settings, database_url: str) -> AsyncIterator[People]:
    """Serve bRAG to three accounts."""
    app = create_app(settings)
    async with (
        serve(app) as url,
        httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as client,
    ):
        yield People(app, client, database_url)
