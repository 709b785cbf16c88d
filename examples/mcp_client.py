"""Ask bRAG as an agent does: python examples/mcp_client.py [URL] [QUESTION]

With BRAG_TOKEN in the environment, as the account that the token belongs to.
"""

import asyncio
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main(url: str, question: str) -> None:
    """Search and ask, and show what a model would read."""
    token = os.environ.get("BRAG_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=120) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        listed = await client.list_tools()
        print("Tools:", ", ".join(tool.name for tool in listed.tools))

        found = await client.call_tool("search", {"query": question, "top_k": 2})
        for passage in found.structured_content["passages"]:
            print(f"{passage['score']:.3f}  {passage['document_url']}")

        answer = await client.call_tool("ask", {"question": question})
        print(answer.content[0].text)


if __name__ == "__main__":
    arguments = dict(enumerate(sys.argv))
    asyncio.run(
        main(
            arguments.get(1, "http://127.0.0.1:8000/mcp"),
            arguments.get(2, "How do I ingest a folder?"),
        )
    )
