"""Asking over HTTP, once the documents are in the server's index."""

from typing import Any

import httpx2

from tests.support import eventually

__all__ = ["ask", "until_found"]


async def ask(client: httpx2.AsyncClient, message: str, **fields: Any) -> dict[str, Any]:
    """Ask a question that must be answered."""
    response = await client.post("/v1/qa-create", json={"message": message, **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def until_found(client: httpx2.AsyncClient, *paths: str) -> None:
    """Wait until documents are in the index of the server."""

    async def check() -> bool:
        response = await client.post(
            "/v1/search", json={"query": "the", "top_k": 100, "mode": "dense"}
        )
        return set(paths) <= {hit["path"] for hit in response.json()["hits"]}

    await eventually(check, within=30)
