"""What the chat endpoints refuse, and how they say so."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from settings import Settings
from tests.support import open_client

ENDPOINTS = ["/v1/completion", "/v1/completion-stream", "/v1/qa-create", "/v1/qa-stream"]


def assert_refused(response: httpx2.Response, status: int, words: str) -> None:
    assert response.status_code == status, response.text
    body = response.json()
    assert words in body["detail"], body
    assert body["error"]["message"] == body["detail"]
    assert body["error"]["code"]
    assert body["error"]["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_message_that_says_nothing_is_refused(
    api: httpx2.AsyncClient, endpoint: str
) -> None:
    for message in ("", " \n\t"):
        response = await api.post(endpoint, json={"message": message})
        assert_refused(response, 422, "message: must not be empty")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_an_unknown_model_is_refused_with_the_allowed_ones(
    api: httpx2.AsyncClient, endpoint: str
) -> None:
    response = await api.post(endpoint, json={"message": "Hi", "model": "gpt-99"})

    assert_refused(response, 422, "model: must be one of offline-extractive")
    assert response.json()["error"]["details"] == {"allowed": ["offline-extractive"]}


async def test_a_message_over_the_limit_is_refused_with_the_limit(api: httpx2.AsyncClient) -> None:
    longest = await api.post("/v1/completion", json={"message": "x" * 8_000})
    too_long = await api.post("/v1/completion", json={"message": "x" * 8_001})

    assert longest.status_code == 200
    assert_refused(too_long, 422, "must not be longer than 8000 characters")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "message: Field required"),
        ({"message": 5}, "message: Input should be a valid string"),
        ({"message": None}, "message: Input should be a valid string"),
        ({"message": ["Hi"]}, "message: Input should be a valid string"),
        ({"message": "Hi", "model": 5}, "model: Input should be a valid string"),
        (["Hi"], "body: "),
        ("Hi", "body: "),
        (None, "body: "),
        ({"message": "one\0two"}, "message: must not contain a NUL character"),
    ],
)
async def test_wrong_types_are_named_by_field(
    api: httpx2.AsyncClient, body: object, words: str
) -> None:
    response = await api.post("/v1/qa-create", json=body)

    assert_refused(response, 422, words)


async def test_a_lone_surrogate_is_refused(api: httpx2.AsyncClient) -> None:
    response = await api.post(
        "/v1/qa-create",
        content=b'{"message": "half a pair: \\ud83d"}',
        headers={"content-type": "application/json"},
    )

    assert_refused(response, 422, "message: ")


@pytest.mark.parametrize("content", [b'{"message": "Hi"', b"", b"{'message': 'Hi'}", b"\xff\xfe{"])
async def test_malformed_json_is_refused(api: httpx2.AsyncClient, content: bytes) -> None:
    response = await api.post(
        "/v1/qa-create", content=content, headers={"content-type": "application/json"}
    )

    assert response.status_code in (400, 422)
    assert_refused(response, response.status_code, "")


async def test_another_content_type_is_refused_with_the_right_one(
    api: httpx2.AsyncClient,
) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded"):
        response = await api.post(
            "/v1/qa-create", content=b"message=Hi", headers={"content-type": content_type}
        )
        assert_refused(response, 415, "application/json")


async def test_a_body_over_the_limit_is_refused_announced_or_not(settings: Settings) -> None:
    settings = settings.model_copy(update={"max_body_bytes": 1_000})
    body = b'{"message": "' + b"x" * 1_000 + b'"}'

    async def in_parts() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    async with open_client(settings) as client:
        headers = {"content-type": "application/json"}
        announced = await client.post("/v1/qa-create", content=body, headers=headers)
        streamed = await client.post("/v1/qa-create", content=in_parts(), headers=headers)

    assert_refused(announced, 413, "larger than 1000 bytes")
    assert_refused(streamed, 413, "larger than 1000 bytes")


async def test_unknown_paths_and_methods_answer_in_the_same_shape(api: httpx2.AsyncClient) -> None:
    assert_refused(await api.get("/v1/nothing"), 404, "Not Found")
    assert_refused(await api.get("/v1/qa-create"), 405, "Method Not Allowed")


async def test_what_was_refused_is_not_repeated(api: httpx2.AsyncClient) -> None:
    response = await api.post("/v1/qa-create", json={"message": {"password": "hunter2"}})

    assert "hunter2" not in response.text
