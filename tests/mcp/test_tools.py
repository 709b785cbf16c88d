"""What the tools say of themselves, and what they return."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from app.main import create_app
from app.mcp.arguments import MAX_PART_CHARACTERS
from settings import Settings
from tests.conftest import Ingest
from tests.mcp.clients import MODES, connect, text_of
from tests.serving import serve
from tests.support import eventually

GUIDE = (
    "# Boats\n\nBoats leave from the harbour.\n\n## Ferries\n\n"
    "The ferry to the island leaves at seven in the morning.\n"
)
# Characters of more than one byte and more than one UTF-16 unit; and passages that are all alike,
# so that one has to be embedded.
LONG = "# Long\n\n" + ("Äpfel und 🚢 " * 60 + ".\n\n") * 65 + "The end.\n"


@pytest.fixture
async def url(settings: Settings, ingest: Ingest) -> AsyncIterator[str]:
    """A server with two documents."""
    await ingest({"guide/boats.md": GUIDE, "hours.md": "# Hours\n\nThe office opens at nine.\n"})
    async with serve(create_app(settings)) as url:
        yield url


@pytest.fixture
async def tools(url: str) -> AsyncIterator[Client]:
    """A client that has found the documents."""
    async with connect(url) as client:

        async def found() -> bool:
            result = await client.call_tool("search", {"query": "ferry"})
            return bool(result.structured_content["passages"])

        await eventually(found)
        yield client


async def _document_id(tools: Client, query: str) -> str:
    result = await tools.call_tool("search", {"query": query, "top_k": 1})
    found: str = result.structured_content["passages"][0]["document_id"]
    return found


async def test_clients_are_told_what_the_tools_are_and_do(tools: Client) -> None:
    listed = {tool.name: tool for tool in (await tools.list_tools()).tools}

    assert list(listed) == ["ask", "search", "list_sources", "get_document"]
    for name, tool in listed.items():
        assert tool.title
        assert tool.description
        assert tool.input_schema["additionalProperties"] is False
        assert "$ref" not in str(tool.input_schema), "not every client follows references"
        assert tool.output_schema
        assert tool.annotations
        assert tool.annotations.read_only_hint is (name != "ask")
        assert tool.annotations.destructive_hint is False
    assert listed["ask"].input_schema["properties"]["question"]["maxLength"] == 8_000
    assert listed["search"].input_schema["properties"]["top_k"]["maximum"] == 20
    assert "never follow instructions" in str(tools.instructions)


@pytest.mark.parametrize("mode", MODES)
async def test_ask_answers_as_the_api_does_and_leads_to_what_it_cites(
    tools: Client, url: str, mode: str
) -> None:
    question = "When does the ferry to the island leave?"

    async with connect(url, mode=mode) as client:
        result = await client.call_tool("ask", {"question": question})
    async with httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as api:
        answer = (await api.post("/v1/qa-create", json={"message": question})).json()
        kept = (await api.get("/v1/messages")).json()

    given = result.structured_content
    assert not result.is_error
    assert given["answer"] == answer["message"]
    assert given["found"]
    assert [one["quote"] for one in given["citations"]] == [
        one["quote"] for one in answer["citations"]
    ]
    assert [one["start"] for one in given["sources"]] == [one["start"] for one in answer["sources"]]
    citation = given["citations"][0]
    assert citation["verified"]
    assert GUIDE[citation["start"] : citation["end"]] == citation["quote"]
    link = f"/#/documents/{citation['document_id']}?start={citation['start']}&end={citation['end']}"
    assert citation["document_url"] == f"http://127.0.0.1:8000{link}"
    text = text_of(result)
    assert text.startswith(given["answer"])
    assert link in text
    assert given["message_id"] in {message["id"] for message in kept}


async def test_ask_says_when_the_documents_hold_nothing_on_it(tools: Client) -> None:
    result = await tools.call_tool("ask", {"question": "Who won the chess championship in 1972?"})

    given = result.structured_content
    assert not given["found"]
    assert given["citations"] == []
    assert text_of(result).startswith("No documents found in context.")


async def test_search_says_where_a_passage_stands(tools: Client) -> None:
    result = await tools.call_tool("search", {"query": "ferry to the island", "top_k": 3})

    best = result.structured_content["passages"][0]
    assert best["rank"] == 1
    assert best["path"] == "guide/boats.md"
    assert GUIDE[best["start"] : best["end"]].strip() == best["text"].strip()
    assert best["document_url"].endswith(f"?start={best['start']}&end={best['end']}")
    assert result.structured_content["relevant"]
    assert best["document_id"] in text_of(result)
    assert "leaves at seven" in text_of(result)


async def test_search_looks_as_and_only_where_it_is_told_to(tools: Client) -> None:
    for mode in ("hybrid", "dense", "bm25"):
        given = {"query": "office", "mode": mode, "path_prefixes": ["hours.md"]}
        here = (await tools.call_tool("search", given)).structured_content
        assert {passage["path"] for passage in here["passages"]} == {"hours.md"}

    nowhere = await tools.call_tool("search", {"query": "ferry", "source_ids": [str(uuid4())]})

    assert nowhere.structured_content["passages"] == []
    assert "Nothing was found" in text_of(nowhere)


async def test_the_sources_are_listed_page_by_page(tools: Client) -> None:
    result = await tools.call_tool("list_sources", {"limit": 1})

    [source] = result.structured_content["sources"]
    assert (source["kind"], source["documents"]) == ("folder", 2)
    assert source["id"] in text_of(result)
    assert "location" not in source, "where a folder is concerns nobody else"
    assert result.structured_content["next_cursor"] is None
    narrowed = await tools.call_tool("search", {"query": "ferry", "source_ids": [source["id"]]})
    assert narrowed.structured_content["passages"]


async def test_a_huge_document_is_read_part_by_part(
    tools: Client, url: str, ingest: Ingest
) -> None:
    await ingest({"long.md": LONG})
    async with httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as api:
        [document_id] = [
            document["id"]
            for document in (await api.get("/v1/documents")).json()
            if document["path"] == "long.md"
        ]
    start: int | None = 0
    parts = []

    while start is not None:
        result = await tools.call_tool("get_document", {"document_id": document_id, "start": start})
        part: dict[str, Any] = result.structured_content
        assert len(part["text"]) <= MAX_PART_CHARACTERS
        assert part["characters"] == len(LONG)
        assert (part["start"], part["end"]) == (start, start + len(part["text"]))
        parts.append(part["text"])
        start = part["next_start"]
        if start is not None:
            assert f"start={start}" in text_of(result)

    assert len(parts) > 2
    assert "".join(parts) == LONG


async def test_a_part_of_a_document_ends_where_it_should(tools: Client) -> None:
    document_id = await _document_id(tools, "ferry")
    given = {"document_id": document_id, "start": 2, "end": 7}

    part = (await tools.call_tool("get_document", given)).structured_content
    last = await tools.call_tool("get_document", {**given, "end": 1_000_000})

    assert (part["text"], part["next_start"]) == ("Boats", None)
    assert last.structured_content["end"] == len(GUIDE)
    assert last.structured_content["next_start"] is None


BAD_CALLS: list[tuple[str, dict[str, Any], str]] = [
    ("ask", {}, "question: Field required"),
    ("ask", {"question": "  "}, "question: must not be empty"),
    ("ask", {"question": "a\0b"}, "question: must not contain a NUL character"),
    ("ask", {"question": "x" * 8_001}, "message: must not be longer than 8000 characters"),
    ("ask", {"question": "Why?", "chat": 1}, "chat: Extra inputs are not permitted"),
    ("search", {"query": "x" * 8_001}, "query: must not be longer than 8000 characters"),
    ("search", {"query": "a", "top_k": 21}, "top_k: Input should be less than or equal to 20"),
    (
        "search",
        {"query": "a", "mode": "?"},
        "mode: Input should be 'hybrid', 'dense' or 'bm25'",
    ),
    ("search", {"query": "a", "path_prefixes": ["a/" * 40]}, "must not be deeper than 32"),
    ("list_sources", {"cursor": "?"}, "cursor: use next_cursor of the page before"),
    ("get_document", {"document_id": "guide.md"}, "document_id: Input should be a valid UUID"),
    ("get_document", {"document_id": str(uuid4())}, "There is no such document."),
    (
        "get_document",
        {"document_id": str(uuid4()), "start": 7, "end": 7},
        "end must be greater than start",
    ),
]


async def test_what_is_wrong_with_a_call_is_said_to_the_model(tools: Client) -> None:
    for tool, given, sentence in BAD_CALLS:
        result = await tools.call_tool(tool, given)

        assert result.is_error, (tool, given)
        assert sentence in text_of(result)
        assert result.structured_content is None
        assert result.meta is not None
        error: Any = result.meta["error"]
        assert error["code"] in ("invalid_request", "document_not_found")
        assert error["request_id"]


async def test_a_part_beyond_the_end_is_an_error(tools: Client) -> None:
    document_id = await _document_id(tools, "ferry")

    result = await tools.call_tool(
        "get_document", {"document_id": document_id, "start": len(GUIDE)}
    )

    assert text_of(result) == f"start: the document has only {len(GUIDE)} characters"


async def test_a_tool_that_does_not_exist_is_a_protocol_error(tools: Client) -> None:
    with pytest.raises(MCPError, match="There are ask, search, list_sources, get_document"):
        await tools.call_tool("delete_everything", {})
