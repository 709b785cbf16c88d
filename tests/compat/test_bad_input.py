"""What /api/v1 refuses, and that its clients can read why in `detail`."""

import json
from typing import Any

import httpx2

from tests.support import fetch

OK = {
    "/answer": {"question": "Open?"},
    "/chat": {"message": "Open?"},
    "/chat_conversation": {"message": "Open?"},
    "/chat_with_selection": {"query": "Open?", "document_content": "From 9 to 17."},
}
ASKED = [
    ("/answer", "question"),
    ("/chat", "message"),
    ("/chat_conversation", "message"),
    ("/chat_with_selection", "query"),
    ("/chat_with_selection", "document_content"),
]


async def refusal(client: httpx2.AsyncClient, path: str, body: Any) -> str:
    response = await client.post(f"/api/v1{path}", json=body)
    assert response.status_code == 422, response.text
    error = response.json()
    assert error["error"]["code"] == "invalid_request"
    assert error["error"]["message"] == error["detail"]
    return str(error["detail"])


async def test_what_is_asked_must_be_a_text_that_says_something(
    api: httpx2.AsyncClient,
) -> None:
    for path, field in ASKED:
        await refuse_what_says_nothing(api, path, field)


async def refuse_what_says_nothing(api: httpx2.AsyncClient, path: str, field: str) -> None:
    for text, problem in (
        ("", "must not be empty"),
        (" \n\t", "must not be empty"),
        ("a\0b", "must not contain a NUL character"),
        (None, "Input should be a valid string"),
        (7, "Input should be a valid string"),
        (["Hi"], "Input should be a valid string"),
    ):
        assert await refusal(api, path, OK[path] | {field: text}) == f"{field}: {problem}"
    without = {name: text for name, text in OK[path].items() if name != field}
    assert await refusal(api, path, without) == f"{field}: Field required"


async def test_half_of_a_surrogate_pair_is_refused(api: httpx2.AsyncClient) -> None:
    for path, field in ASKED:
        body = json.dumps(OK[path] | {field: "a\ud800"})
        response = await api.post(
            f"/api/v1{path}", content=body, headers={"content-type": "application/json"}
        )

        assert response.status_code == 422
        assert response.json()["detail"].startswith(f"{field}: ")


async def test_a_question_over_the_limit_is_refused(api: httpx2.AsyncClient) -> None:
    for path, body in OK.items():
        detail = await refusal(api, path, body | {next(iter(body)): "x" * 8_001})

        assert "must not be longer than 8000 characters" in detail


async def test_an_endless_selection_is_refused(api: httpx2.AsyncClient) -> None:
    for path, field in (
        ("/chat", "selected_text"),
        ("/chat_conversation", "selected_text"),
        ("/chat_with_selection", "document_content"),
    ):
        detail = await refusal(api, path, OK[path] | {field: "x" * 50_001})

        assert detail == f"{field}: String should have at most 50000 characters"


async def test_a_session_needs_a_plain_name(api: httpx2.AsyncClient, database_url: str) -> None:
    for session_id, problem in (
        ("", "must not be empty"),
        ("  ", "must not be empty"),
        ("x" * 201, "String should have at most 200 characters"),
        ("a\0b", "must not contain a NUL character"),
        ("a\nb", "must be one line without control characters"),
        ("a\x1bb", "must be one line without control characters"),
        (7, "Input should be a valid string"),
        (["s"], "Input should be a valid string"),
    ):
        body = {"message": "Open?", "session_id": session_id}

        assert await refusal(api, "/chat", body) == f"session_id: {problem}"
    assert fetch(database_url, "SELECT FROM chat") == []


async def test_any_plain_name_is_kept_as_it_is(api: httpx2.AsyncClient, database_url: str) -> None:
    names = [
        "x" * 200,
        "👩‍👩‍👧 ü",
        "'; DROP TABLE chat; --",
        "%s :account_id %(x)s $1",
        "\\",
        "{}",
        "null",
    ]
    for name in names * 2:
        response = await api.post("/api/v1/chat", json={"message": "Open?", "session_id": name})
        assert response.status_code == 200, response.text
        assert response.json()["session_id"] == name

    assert fetch(database_url, "SELECT session_id FROM chat ORDER BY created_at") == [
        (name,) for name in names
    ]


async def test_a_body_that_is_no_json_is_refused(api: httpx2.AsyncClient) -> None:
    response = await api.post(
        "/api/v1/chat", content='{"message": ', headers={"content-type": "application/json"}
    )

    assert response.status_code == 422
    assert response.json()["detail"] == "The body is not valid JSON."
