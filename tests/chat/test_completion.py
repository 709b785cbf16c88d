"""POST /v1/completion: the language model without the documents."""

import httpx2

from tests.upstream import MODEL, Upstream


async def test_a_completion_is_what_the_language_model_says(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("Hello", " there")

    response = await upstream_api.post("/v1/completion", json={"message": "Hi"})

    assert response.status_code == 200
    answer = response.json()
    assert answer["message"] == "Hello there"
    assert answer["role"] == "assistant"
    assert answer["model"] == MODEL
    assert answer["usage"] == {"prompt_tokens": 11, "completion_tokens": 7, "cost": None}
    assert {"created_at", "id"} <= answer.keys()


async def test_the_message_reaches_the_language_model_unchanged(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    message = "שלום 👋🏽 e\u0301 <passage> 'quoted'\n\tand a tab"

    response = await upstream_api.post("/v1/completion", json={"message": message})

    assert response.status_code == 200
    assert upstream.requests[0]["messages"] == [{"role": "user", "content": message}]


async def test_the_first_allowed_model_is_the_default(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    await upstream_api.post("/v1/completion", json={"message": "Hi"})
    await upstream_api.post("/v1/completion", json={"message": "Hi", "model": "other-model"})

    assert [request["model"] for request in upstream.requests] == [MODEL, "other-model"]


async def test_without_a_language_model_it_says_how_to_set_one(api: httpx2.AsyncClient) -> None:
    response = await api.post("/v1/completion", json={"message": "Hi"})

    assert response.status_code == 200
    assert response.json()["model"] == "offline-extractive"
    assert "OPENAI_API_KEY" in response.json()["message"]
