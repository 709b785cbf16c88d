"""Citations of answers: checked against the documents, plain and streamed."""

from typing import Any

import httpx2
import pytest

from tests.chat.asking import ask, until_found
from tests.conftest import Ingest
from tests.support import execute, fetch, parse_events, read_events
from tests.upstream import Upstream, chunk, sse

LAKE = """# Zürich 🏔️

The lake lies 406 m above the sea. It is 42 km long.

## Boats

Boats leave every hour from the Bürkliplatz.
"""
QUESTION = "How high does the lake of Zürich lie?"


async def cited(client: httpx2.AsyncClient, upstream: Upstream, *pieces: str) -> dict[str, Any]:
    """Return what becomes of an answer of the language model."""
    upstream.behave = upstream.answers(*pieces)
    return await ask(client, QUESTION)


@pytest.fixture
async def api_with_lake(ingest: Ingest, upstream_api: httpx2.AsyncClient) -> httpx2.AsyncClient:
    await ingest({"lake.md": LAKE})
    await until_found(upstream_api, "lake.md")
    return upstream_api


async def test_a_citation_quotes_the_sentence_that_supports_the_answer(
    api_with_lake: httpx2.AsyncClient, upstream: Upstream
) -> None:
    answer = await cited(api_with_lake, upstream, "The lake lies 406 m above the sea. [1]")

    [citation] = answer["citations"]
    [document] = (await api_with_lake.get("/v1/documents")).json()
    text = (await api_with_lake.get(f"/v1/documents/{document['id']}")).json()["text"]
    source = next(source for source in answer["sources"] if source["number"] == 1)
    assert citation["marker"] == 1
    assert citation["quote"] == "The lake lies 406 m above the sea."
    assert text[citation["start"] : citation["end"]] == citation["quote"]
    assert citation["verified"] is True
    assert 0.9 < citation["score"] <= 1
    assert citation["document_id"] == document["id"]
    assert citation["chunk_id"] == source["chunk_id"]
    assert (citation["path"], citation["title"]) == ("lake.md", "Zürich 🏔️")
    assert citation["source"] == "folder"
    assert citation.keys() == {
        *("marker", "document_id", "chunk_id", "source", "path", "title", "url"),
        *("start", "end", "quote", "verified", "score"),
    }


async def test_another_number_than_the_document_says_is_not_verified(
    api_with_lake: httpx2.AsyncClient, upstream: Upstream
) -> None:
    answer = await cited(api_with_lake, upstream, "The lake lies 460 m above the sea. [1]")

    [citation] = answer["citations"]
    assert citation["verified"] is False
    assert citation["quote"] == "The lake lies 406 m above the sea."


async def test_a_marker_that_points_nowhere_is_removed(
    api_with_lake: httpx2.AsyncClient, upstream: Upstream
) -> None:
    answer = await cited(
        api_with_lake, upstream, "The lake lies 406 m above the sea [99]. It is long [0]."
    )

    assert answer["message"] == "The lake lies 406 m above the sea. It is long."
    assert answer["citations"] == []


async def test_an_answer_of_nothing_but_unknown_markers_is_empty(
    api_with_lake: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("[99]", " [0]")

    response = await api_with_lake.post("/v1/qa-create", json={"message": QUESTION})
    events = await read_events(api_with_lake, "/v1/qa-stream", QUESTION)

    assert response.status_code == 502
    assert response.json()["error"]["details"]["reason"] == (
        "The language model sent an empty answer."
    )
    assert events[-1].name == "error"
    assert events[-1].data["code"] == "upstream_failed"


@pytest.mark.parametrize("path", ["/v1/qa-create", "/v1/qa-stream", "/v1/completion"])
async def test_a_misspelt_field_is_not_ignored(upstream_api: httpx2.AsyncClient, path: str) -> None:
    body = {"message": QUESTION, "filter": {"path_prefixes": ["nowhere"]}}

    response = await upstream_api.post(path, json=body)

    assert response.status_code == 422
    assert "filter" in response.json()["detail"]


async def test_an_answer_without_markers_has_no_citations(
    api_with_lake: httpx2.AsyncClient, upstream: Upstream
) -> None:
    answer = await cited(api_with_lake, upstream, "The lake lies 406 m above the sea.")

    assert answer["citations"] == []
    assert answer["sources"] != []


async def test_a_stream_sends_its_citations_after_the_last_message(
    api_with_lake: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("The lake lies 406 m above", " the sea. [", "1", "][9", "9]")

    events = await read_events(api_with_lake, "/v1/qa-stream", QUESTION)

    names = [event.name for event in events]
    assert names == ["sources", *["message"] * (len(names) - 3), "citations", "done"]
    text = "".join(event.data["content"] for event in events if event.name == "message")
    assert text == "The lake lies 406 m above the sea. [1]"
    [citation] = events[-2].data
    assert citation["quote"] == "The lake lies 406 m above the sea."
    assert citation["verified"] is True


async def test_a_stream_keeps_its_finish_reason_when_text_was_held_back(
    api_with_lake: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("See [")

    events = await read_events(api_with_lake, "/v1/qa-stream", QUESTION)

    messages = [event.data for event in events if event.name == "message"]
    assert "".join(message["content"] for message in messages) == "See ["
    assert [message["finish_reason"] for message in messages if message["finish_reason"]] == [
        "stop"
    ]


async def test_a_stream_without_documents_has_no_citations_event(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("a[1] is the second. [7]")

    events = await read_events(upstream_api, "/v1/completion-stream", "Hi")

    assert {event.name for event in events} == {"message", "done"}
    assert "".join(e.data.get("content", "") for e in events) == "a[1] is the second. [7]"


async def test_the_offline_model_cites_only_what_can_be_verified(
    ingest: Ingest, api: httpx2.AsyncClient
) -> None:
    await ingest({"lake.md": LAKE})
    await until_found(api, "lake.md")

    answer = await ask(api, QUESTION)

    assert "406 m" in answer["message"]
    assert answer["citations"] != []
    assert all(citation["verified"] for citation in answer["citations"])


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM document", "UPDATE document SET text = replace(text, '406', '407')"],
)
async def test_a_document_that_is_deleted_or_changed_while_it_is_quoted_is_not_quoted(
    api_with_lake: httpx2.AsyncClient, upstream: Upstream, database_url: str, statement: str
) -> None:
    behave = upstream.answers("The lake lies 406 m above the sea. [1]")

    async def change_first(body: dict[str, Any]) -> Any:
        execute(database_url, statement)
        return await behave(body)

    upstream.behave = change_first
    answer = await ask(api_with_lake, QUESTION)

    [citation] = answer["citations"]
    assert (citation["verified"], citation["quote"]) == (False, None)


async def test_citations_are_stored_without_the_documents_words(
    api_with_lake: httpx2.AsyncClient, upstream: Upstream, database_url: str
) -> None:
    answer = await cited(api_with_lake, upstream, "It is 406 m high, this lake above the sea. [1]")

    stored, _ = (await api_with_lake.get("/v1/messages")).json()
    [citation] = answer["citations"]
    assert stored["citations"] == [{k: v for k, v in citation.items() if k != "quote"}]
    [(row,)] = fetch(
        database_url,
        "SELECT CAST((sources, citations, trace) AS text) FROM message WHERE role = 'assistant'",
    )
    assert "42 km" not in row
    assert "lies 406" not in row


async def test_the_reader_who_leaves_leaves_citations_of_what_was_said(
    api_with_lake: httpx2.AsyncClient, upstream: Upstream, database_url: str
) -> None:
    upstream.behave = upstream.says(
        sse(chunk("The lake lies 406 m above the sea. [1] And")), then_break=True
    )
    async with api_with_lake.stream(
        "POST", "/v1/qa-stream", json={"message": QUESTION}
    ) as response:
        events = parse_events((await response.aread()).decode())

    assert events[-1].name == "error"
    stored, _ = (await api_with_lake.get("/v1/messages")).json()
    assert stored["status"] == "failed"
    assert [citation["verified"] for citation in stored["citations"]] == [True]
