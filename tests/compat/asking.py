"""Sending what clients of earlier backends send."""

from typing import Any

import httpx2
from starlette.responses import Response

from tests.upstream import Behaviour, Upstream

__all__ = ["LAKES", "answers", "post", "spoken"]

LAKES = {
    "lakes.md": "# Lakes\n\nLake Baikal is 1642 metres deep. Lake Baikal is cold.\n",
    "rivers.md": "# Rivers\n\nThe Angara leaves Lake Baikal and is 1779 kilometres long.\n",
}


async def post(
    client: httpx2.AsyncClient, path: str, body: dict[str, Any], who: dict[str, str] | None = None
) -> dict[str, Any]:
    """Ask what must be answered, below /api/v1."""
    response = await client.post(f"/api/v1{path}", json=body, headers=who)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def answers(upstream: Upstream, text: str, *, standalone: str) -> Behaviour:
    """Answer with a text; what a follow-up question means by itself is `standalone`."""

    async def behave(body: dict[str, Any]) -> Response:
        is_rewriting = "CONTEXT" not in body["messages"][-1]["content"]
        return await upstream.answers(standalone if is_rewriting else text)(body)

    return behave


def spoken(request: dict[str, Any]) -> list[str]:
    """Return what a language model was told, without the instructions."""
    return [message["content"] for message in request["messages"] if message["role"] != "system"]
