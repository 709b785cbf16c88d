"""GET /v1/messages: questions and answers, newest first."""

import base64
from uuid import uuid4

import httpx2

from tests.conftest import Ingest
from tests.upstream import Upstream


async def test_a_new_installation_has_no_messages(api: httpx2.AsyncClient) -> None:
    response = await api.get("/v1/messages")

    assert response.json() == []
    assert "link" not in response.headers


async def test_questions_and_answers_are_stored_newest_first(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("An answer")
    answer = (await upstream_api.post("/v1/completion", json={"message": "A question"})).json()

    stored_answer, question = (await upstream_api.get("/v1/messages")).json()

    assert question["role"] == "user"
    assert question["message"] == "A question"
    assert stored_answer["role"] == "assistant"
    assert stored_answer["message"] == "An answer"
    assert stored_answer["status"] == "complete"
    assert stored_answer["id"] == answer["id"]
    assert stored_answer["created_at"] == answer["created_at"]
    assert stored_answer["question_id"] == question["id"]
    assert stored_answer["usage"] == {"prompt_tokens": 11, "completion_tokens": 7, "cost": None}


async def test_an_answer_keeps_what_it_was_made_from(
    ingest: Ingest, upstream_settings: object, upstream_api: httpx2.AsyncClient
) -> None:
    await ingest({"a.md": "# A\n\nSome text.\n"})

    sources: list[dict[str, object]] = []
    while not sources:
        answer = await upstream_api.post("/v1/qa-create", json={"message": "Some text?"})
        sources = answer.json()["sources"]
    [stored] = (await upstream_api.get("/v1/messages", params={"limit": 1})).json()

    assert [source["chunk_id"] for source in stored["sources"]] == [
        source["chunk_id"] for source in sources
    ]


async def test_a_question_is_stored_even_when_its_answer_fails(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.refuses(401)
    await upstream_api.post("/v1/completion", json={"message": "A question"})

    [question] = (await upstream_api.get("/v1/messages")).json()

    assert question["message"] == "A question"


async def test_pages_follow_each_other_without_a_gap_or_a_repeat(
    upstream_api: httpx2.AsyncClient,
) -> None:
    for number in range(5):
        await upstream_api.post("/v1/completion", json={"message": f"Question {number}"})
    everything = (await upstream_api.get("/v1/messages")).json()

    pages, url = [], "/v1/messages?limit=3"
    while url:
        response = await upstream_api.get(url)
        pages.append(response.json())
        url = response.links.get("next", {}).get("url", "")
        # New messages don't shift the pages that follow.
        await upstream_api.post("/v1/completion", json={"message": "Another"})

    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert [message["id"] for page in pages for message in page] == [
        message["id"] for message in everything
    ]


async def test_a_cursor_of_somebody_else_is_refused(api: httpx2.AsyncClient) -> None:
    too_early = base64.urlsafe_b64encode(f"0001-01-01T00:00:00+14:00 {uuid4()}".encode()).decode()
    for cursor in ("nonsense", "AAAA", "ÿ", too_early):
        response = await api.get("/v1/messages", params={"cursor": cursor})

        assert response.status_code == 422
        assert "Link header" in response.json()["detail"]


async def test_a_cursor_may_name_any_time_zone(api: httpx2.AsyncClient) -> None:
    cursor = base64.urlsafe_b64encode(f"2026-01-01T00:00:00+23:59 {uuid4()}".encode()).decode()

    assert (await api.get("/v1/messages", params={"cursor": cursor})).json() == []


async def test_the_limit_is_between_1_and_200(api: httpx2.AsyncClient) -> None:
    for limit in ("0", "201", "many"):
        response = await api.get("/v1/messages", params={"limit": limit})

        assert response.status_code == 422
        assert response.json()["detail"].startswith("limit:")
