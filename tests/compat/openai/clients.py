"""OpenAI's own client, pointed at bRAG."""

from typing import Any, Final

import httpx2
from openai import AsyncOpenAI

__all__ = ["HELLO", "openai_client", "read"]

HELLO: Final[Any] = [{"role": "user", "content": "Hello?"}]


def openai_client(api: httpx2.AsyncClient, api_key: str = "none") -> AsyncOpenAI:
    """Return a client of the server that `api` talks to; it sends nothing twice."""
    return AsyncOpenAI(base_url=f"{api.base_url}/v1", api_key=api_key, max_retries=0)


async def read(stream: Any) -> list[str]:
    """Return the pieces of a stream's text."""
    return [one.choices[0].delta.content or "" async for one in stream if one.choices]
