"""Follow-up questions over HTTP: what is searched for, what is told, and the same once more."""

import json
from typing import Any

import httpx2
import pytest
from starlette.responses import Response

from tests.chat.asking import ask, until_found
from tests.conftest import Ingest
from tests.upstream import Upstream

DOCUMENTS = {
    "workflows.md": "# Workflows\n\n## Create\n\nRun `flow create` to create a workflow.\n\n"
    "## Delete\n\nRun `flow delete` to delete a workflow.\n",
    "users.md": "# Users\n\n## Delete\n\nRun `user drop` to delete a user.\n",
}
FOLLOW_UP = "And how do I delete one?"


async def in_a_chat(client: httpx2.AsyncClient, *messages: str) -> list[dict[str, Any]]:
    """Ask one question after the other in a new chat."""
    chat = (await client.post("/v1/chats", json={})).json()
    return [await ask(client, message, chat_id=chat["id"]) for message in messages]


async def trace_of(client: httpx2.AsyncClient, answer: dict[str, Any]) -> dict[str, Any]:
    trace: dict[str, Any] = (await client.get(f"/v1/messages/{answer['id']}/trace")).json()
    return trace


@pytest.fixture
async def api_with_documents(ingest: Ingest, api: httpx2.AsyncClient) -> httpx2.AsyncClient:
    await ingest(dict(DOCUMENTS))
    await until_found(api, *DOCUMENTS)
    return api


@pytest.fixture
async def upstream_with_documents(
    ingest: Ingest, upstream_api: httpx2.AsyncClient
) -> httpx2.AsyncClient:
    await ingest(dict(DOCUMENTS))
    await until_found(upstream_api, *DOCUMENTS)
    return upstream_api


async def test_offline_a_follow_up_is_answered_with_what_it_refers_to(
    api_with_documents: httpx2.AsyncClient,
) -> None:
    first, second = await in_a_chat(api_with_documents, "How do I create a workflow?", FOLLOW_UP)

    assert "flow create" in first["message"]
    assert "flow delete" in second["message"]
    assert (await trace_of(api_with_documents, first))["query"] is None
    assert (await trace_of(api_with_documents, second))["query"] == f"workflow: {FOLLOW_UP}"


async def test_a_language_model_rewrites_it_and_is_told_the_chat(
    upstream_with_documents: httpx2.AsyncClient, upstream: Upstream
) -> None:
    async def behave(body: dict[str, Any]) -> Response:
        is_rewriting = "CONTEXT" not in body["messages"][-1]["content"]
        text = "How do I delete a workflow?" if is_rewriting else "So. [1]"
        return await upstream.answers(text)(body)

    upstream.behave = behave
    first, second = await in_a_chat(
        upstream_with_documents, "How do I create a workflow?", FOLLOW_UP
    )

    trace = await trace_of(upstream_with_documents, second)
    assert trace["query"] == "How do I delete a workflow?"
    assert second["history"] == {"given": 2, "summarised": 0, "left_out": 0}
    assert trace["history"]["message_ids"] == [first["question_id"], first["id"]]
    system, question, answer, last = upstream.requests[-1]["messages"]
    assert system["role"] == "system"
    assert (question["content"], answer["content"]) == ("How do I create a workflow?", "So.")
    assert last["content"].endswith(f"\n\nMEANT\nHow do I delete a workflow?\n\nQUERY\n{FOLLOW_UP}")


async def test_a_replay_in_a_chat_sends_the_same_prompt_and_changes_no_chat(
    upstream_with_documents: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("So. [1]")
    _, second = await in_a_chat(upstream_with_documents, "How do I create a workflow?", FOLLOW_UP)
    chat = f"/v1/chats/{second['chat_id']}"
    before = (await upstream_with_documents.get(chat)).json()
    sent = upstream.requests[-1]["messages"]

    response = await upstream_with_documents.post(f"/v1/messages/{second['id']}/replay")

    replay = response.json()
    assert response.status_code == 200, response.text
    assert json.dumps(upstream.requests[-1]["messages"]) == json.dumps(sent)
    assert (replay["same"], replay["differences"]) == (True, [])
    old = await trace_of(upstream_with_documents, second)
    new = await trace_of(upstream_with_documents, replay["answer"])
    for kept in ("prompt_hash", "query", "history"):
        assert new[kept] == old[kept]
    assert (await upstream_with_documents.get(chat)).json() == before
