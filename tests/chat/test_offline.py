import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from app.chat.constants import NO_DOCUMENTS_FOUND
from app.chat.extraction import SentenceScorer
from app.chat.offline import NO_LANGUAGE_MODEL, OFFLINE_MODEL, create_offline_model
from app.chat.prompts import PromptPassage, completion_messages, question_messages
from app.core.asgi_transport import StreamingASGITransport

GARDEN = PromptPassage(1, "garden.md", "Garden", (), "Roses bloom in June. Tulips need winters.")
KITCHEN = PromptPassage(2, "kitchen.md", "Kitchen", (), "Bread rises for two hours at least.")
QUESTION = question_messages("When do roses bloom?", [KITCHEN, GARDEN])
ANSWER = "Roses bloom in June. [1]"


def http_client(scorer: SentenceScorer | None = None) -> httpx2.AsyncClient:
    transport = StreamingASGITransport(create_offline_model(scorer))
    return httpx2.AsyncClient(transport=transport, base_url="http://offline/v1")


def openai_client(scorer: SentenceScorer | None = None) -> AsyncOpenAI:
    http = http_client(scorer)
    return AsyncOpenAI(api_key="none", base_url=http.base_url, max_retries=0, http_client=http)


@pytest.fixture
async def client() -> AsyncIterator[AsyncOpenAI]:
    async with openai_client() as client:
        yield client


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with http_client() as client:
        yield client


async def ask(client: AsyncOpenAI, messages: Sequence[ChatCompletionMessageParam]) -> str | None:
    completion = await client.chat.completions.create(model=OFFLINE_MODEL, messages=messages)
    return completion.choices[0].message.content


async def stream(
    client: AsyncOpenAI, messages: Sequence[ChatCompletionMessageParam], **options: Any
) -> list[ChatCompletionChunk]:
    chunks = await client.chat.completions.create(
        model=OFFLINE_MODEL, messages=messages, stream=True, **options
    )
    return [chunk async for chunk in chunks]


async def test_a_question_is_answered_by_quoting_its_passages(client: AsyncOpenAI) -> None:
    assert await ask(client, QUESTION) == ANSWER


async def test_a_question_that_no_passage_answers_finds_nothing(client: AsyncOpenAI) -> None:
    messages = question_messages("Who won the chess championship?", [GARDEN, KITCHEN])
    assert await ask(client, messages) == NO_DOCUMENTS_FOUND
    assert await ask(client, question_messages("When?", [])) == NO_DOCUMENTS_FOUND


async def test_a_plain_completion_says_how_to_configure_a_language_model(
    client: AsyncOpenAI,
) -> None:
    assert await ask(client, completion_messages("Write a poem.")) == NO_LANGUAGE_MODEL
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", ".env", "/v1/qa-create"):
        assert name in NO_LANGUAGE_MODEL


async def test_a_completion_is_shaped_as_openais(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(model=OFFLINE_MODEL, messages=QUESTION)
    assert completion.id.startswith("chatcmpl-")
    assert completion.object == "chat.completion"
    assert completion.model == OFFLINE_MODEL
    assert completion.created > 0
    assert completion.choices[0].message.role == "assistant"
    assert completion.choices[0].finish_reason == "stop"


async def test_usage_counts_words_and_punctuation(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(model=OFFLINE_MODEL, messages=QUESTION)
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 8  # Roses bloom in June . [ 1 ]
    assert completion.usage.prompt_tokens > 100
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + 8


async def test_a_stream_says_the_same_in_pieces(client: AsyncOpenAI) -> None:
    chunks = await stream(client, QUESTION)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert len(chunks) > 3
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == ANSWER
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + [
        "stop"
    ]
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}


async def test_a_streams_pieces_keep_code_and_line_breaks(client: AsyncOpenAI) -> None:
    code = "```sh\nif true; then\n    bloom --june\nfi\n```"
    passage = PromptPassage(1, "a.md", "A", (), f"To bloom, run:\n\n{code}")
    chunks = await stream(client, question_messages("How do I bloom?", [passage]))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(pieces) == f"To bloom, run: [1]\n\n{code}\n\n[1]"


async def test_a_stream_tells_its_usage_if_asked(client: AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model=OFFLINE_MODEL, messages=QUESTION)
    chunks = await stream(client, QUESTION, stream_options={"include_usage": True})
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.choices for chunk in chunks[:-1])
    assert all(chunk.usage is None for chunk in await stream(client, QUESTION))


async def test_a_stream_is_made_of_server_sent_events(http: httpx2.AsyncClient) -> None:
    body = {"model": OFFLINE_MODEL, "messages": QUESTION, "stream": True}
    response = await http.post("/chat/completions", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = response.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(event.removeprefix("data: ")) for event in events[:-2])


async def test_a_reader_may_leave_a_stream_early(client: AsyncOpenAI) -> None:
    chunks = await client.chat.completions.create(
        model=OFFLINE_MODEL, messages=QUESTION, stream=True
    )
    async with chunks:
        await anext(chunks)
    assert await ask(client, QUESTION) == ANSWER


async def test_meaning_counts_where_there_is_a_scorer() -> None:
    async def scorer(query: str, sentences: Sequence[str]) -> Sequence[float]:
        return [0.9 if "Bread" in sentence else 0.0 for sentence in sentences]

    messages = question_messages("Wie lange geht der Teig?", [GARDEN, KITCHEN])
    async with openai_client() as client:
        assert await ask(client, messages) == NO_DOCUMENTS_FOUND
    async with openai_client(scorer) as client:
        assert await ask(client, messages) == f"{KITCHEN.text} [2]"


async def test_a_scorer_that_fails_is_a_server_error() -> None:
    async def scorer(query: str, sentences: Sequence[str]) -> Sequence[float]:
        raise ValueError("broken")

    async with openai_client(scorer) as client:
        with pytest.raises(openai.InternalServerError):
            await ask(client, QUESTION)


async def test_the_one_model_is_listed(client: AsyncOpenAI) -> None:
    models = await client.models.list()
    assert [model.id for model in models.data] == [OFFLINE_MODEL]


async def test_another_model_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=OFFLINE_MODEL) as caught:
        await client.chat.completions.create(model="gpt-5", messages=QUESTION)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"", None),
        (b"[]", None),
        (b'{"model": "offline-extractive"}', "messages"),
        (b'{"model": "offline-extractive", "messages": []}', "messages"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "model"),
        (b'{"model": "offline-extractive", "messages": [{"content": "x"}]}', "messages.0.role"),
    ],
)
async def test_a_malformed_request_is_refused_in_openais_shape(
    http: httpx2.AsyncClient, body: bytes, param: str | None
) -> None:
    response = await http.post("/chat/completions", content=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"]


async def test_explicit_nulls_and_unknown_options_are_accepted(http: httpx2.AsyncClient) -> None:
    body = {"model": OFFLINE_MODEL, "messages": QUESTION, "stream": None, "stream_options": None}
    response = await http.post("/chat/completions", json={**body, "temperature": 0, "n": 1})
    assert response.json()["choices"][0]["message"]["content"] == ANSWER


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/no", 404), ("GET", "/chat/completions", 405)]
)
async def test_other_paths_and_methods_are_refused_in_openais_shape(
    http: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await http.request(method, path)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
