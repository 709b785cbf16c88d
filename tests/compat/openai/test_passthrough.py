"""Chat completions that are passed through, with OpenAI's own client at one end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import SecretStr
from starlette.responses import JSONResponse, Response

from app.core.database import Database
from app.knowledge.embedding import Embedder
from settings import Settings
from tests.accounts.people import auth_required, join, log_in, new_token
from tests.compat.openai.clients import HELLO, openai_client, read
from tests.core.metrics import scrape
from tests.support import eventually, fetch, open_client
from tests.upstream import MODEL, USAGE, Pieces, Upstream, chunk, completion, sse, usage

TOOL: Any = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
KEY = "sk-upstream-secret"


@pytest.fixture
async def client(upstream_api: httpx2.AsyncClient) -> AsyncIterator[AsyncOpenAI]:
    async with openai_client(upstream_api) as client:
        yield client


async def test_an_answer_comes_as_the_language_model_gave_it(
    client: AsyncOpenAI, upstream: Upstream
) -> None:
    given = completion("Hello!") | {"service_tier": "default", "something": {"new": [1]}}
    upstream.behave = upstream.sends(given)

    answer = await client.chat.completions.create(model=MODEL, messages=HELLO)

    assert answer.choices[0].message.content == "Hello!"
    assert answer.usage is not None
    assert answer.usage.to_dict() == USAGE
    assert answer.to_dict() == given


async def test_a_request_arrives_as_it_was_sent(
    client: AsyncOpenAI, upstream: Upstream, database_url: str
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages: Any = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is ✓ this?"}, image]},
    ]
    asked: dict[str, Any] = {
        "model": "other-model",
        "messages": messages,
        "temperature": 0.1,
        "n": 2,
        "tools": [TOOL],
        "response_format": {"type": "json_object"},
        "logit_bias": {"50256": -100},
    }

    await client.chat.completions.create(**asked, extra_body={"top_k": 5, "of its own": {"a": 1}})

    assert upstream.requests == [asked | {"top_k": 5, "of its own": {"a": 1}}]
    assert fetch(database_url, "SELECT * FROM message") == []


async def test_a_stream_comes_piece_by_piece(
    client: AsyncOpenAI, upstream: Upstream, pieces: Pieces
) -> None:
    stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    received = []
    for piece in ("One ", "two", "."):
        pieces.put_nowait(piece)
        async with asyncio.timeout(5):
            received.append((await anext(stream)).choices[0].delta.content)
    pieces.put_nowait(None)

    assert received == ["One ", "two", "."]
    assert [one.choices[0].finish_reason async for one in stream if one.choices] == ["stop"]
    assert upstream.requests[0]["stream"] is True


async def usage_sent_and_received(
    api: httpx2.AsyncClient, upstream: Upstream, options: Any
) -> tuple[Any, bool]:
    """Ask for a stream; return what the upstream was asked for, and whether usage came."""
    body = {"model": MODEL, "messages": HELLO, "stream": True}
    if options:
        body["stream_options"] = options
    response = await api.post("/v1/chat/completions", json=body)
    assert response.text.endswith("data: [DONE]\n\n")
    received = '"choices": [], "usage"' in response.text
    return upstream.requests[-1].get("stream_options"), received


async def test_usage_is_asked_for_where_tokens_count_and_given_to_whoever_wants_it(
    upstream_settings: Settings, upstream: Upstream, database_url: str, embedder: Embedder
) -> None:
    wanted = {"include_usage": True}
    limited = upstream_settings.model_copy(update={"tokens_per_day": 1000})
    async with open_client(limited) as api:
        assert await usage_sent_and_received(api, upstream, None) == (wanted, False)
        assert await usage_sent_and_received(api, upstream, wanted) == (wanted, True)
        both = {"chunk": 1, "include_usage": True}
        assert await usage_sent_and_received(api, upstream, {"chunk": 1}) == (both, False)
    assert fetch(database_url, "SELECT count FROM rate_limit") == [(3 * 18,), (3 * 18,)]


async def test_where_tokens_do_not_count_nothing_is_added(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    # It says so all the same.
    assert await usage_sent_and_received(upstream_api, upstream, None) == (None, True)


async def test_tools_are_the_language_models_business(
    client: AsyncOpenAI, upstream: Upstream
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    given = completion(None)
    given["choices"][0]["message"]["tool_calls"] = [call]
    upstream.behave = upstream.sends(given)

    answer = await client.chat.completions.create(model=MODEL, messages=HELLO, tools=[TOOL])

    assert answer.choices[0].message.tool_calls is not None
    assert answer.choices[0].message.tool_calls[0].to_dict() == call


async def test_the_synchronous_client_gets_the_same(upstream_api: httpx2.AsyncClient) -> None:
    def ask() -> tuple[str | None, str]:
        with OpenAI(base_url=f"{upstream_api.base_url}/v1", api_key="none") as client:
            whole = client.chat.completions.create(model=MODEL, messages=HELLO)
            stream = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
            streamed = [one.choices[0].delta.content or "" for one in stream if one.choices]
            return whole.choices[0].message.content, "".join(streamed)

    assert await asyncio.to_thread(ask) == ("Run `make run-dev`. [1]",) * 2


REFUSALS: list[tuple[int, type[openai.APIStatusError]]] = [
    (400, openai.BadRequestError),
    (401, openai.InternalServerError),
    (403, openai.InternalServerError),
    (404, openai.InternalServerError),
    (413, openai.APIStatusError),
    (422, openai.BadRequestError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
]


async def test_a_refusal_raises_what_it_means_to_the_caller(
    client: AsyncOpenAI, upstream: Upstream
) -> None:
    for status, error in REFUSALS:
        upstream.behave = upstream.refuses(status, {"retry-after": "7"})
        for stream in (False, True):
            with pytest.raises(error) as raised:
                await client.chat.completions.create(model=MODEL, messages=HELLO, stream=stream)

            assert raised.value.response.headers["retry-after"] == "7"
            assert "secret internals" not in raised.value.response.text
            assert "language model" in raised.value.message


async def test_of_a_refusal_names_are_told_and_no_sentences(
    client: AsyncOpenAI, upstream: Upstream
) -> None:
    async def behave(_: dict[str, Any]) -> Response:
        named = {"message": "secret internals", "code": "unsupported_value", "param": "temperature"}
        return JSONResponse({"error": named}, 400)

    upstream.behave = behave

    with pytest.raises(openai.BadRequestError) as raised:
        await client.chat.completions.create(model=MODEL, messages=HELLO)

    assert raised.value.param == "temperature"
    assert "unsupported_value" in raised.value.response.text
    assert "secret" not in raised.value.response.text


async def test_a_failure_in_mid_stream_raises_in_the_client(
    client: AsyncOpenAI, upstream: Upstream
) -> None:
    for lines in (
        [sse(chunk("One")), sse({"error": {"message": "secret internals", "code": 500}})],
        [sse(chunk("One"))],
        [sse(chunk("One")), 'data: {"usage": {"x" 1}}\n\n'],
    ):
        upstream.behave = upstream.says(*lines)

        stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        with pytest.raises(openai.APIError, match="language model") as raised:
            await read(stream)

        assert "secret" not in str(raised.value)


async def test_a_connection_that_breaks_in_mid_event_raises_too(
    client: AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave = upstream.says(sse(chunk("One")), 'data: {"id": "ch', then_break=True)

    stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="closed the connection"):
        await read(stream)


async def test_what_is_no_completion_is_a_failure(client: AsyncOpenAI, upstream: Upstream) -> None:
    for sent in ("<html>", '{"error": {"message": "secret"}}', "[]", '"x"'):
        upstream.behave = upstream.sends(sent)
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError, match="not a chat") as raised:
                await client.chat.completions.create(model=MODEL, messages=HELLO, stream=stream)

            assert "secret" not in raised.value.response.text


async def test_an_upstream_that_nobody_reaches_is_a_502(
    settings: Settings, embedder: Embedder, unused_url: str
) -> None:
    away = settings.model_copy(update={"openai_base_url": unused_url, "openai_models": [MODEL]})
    async with open_client(away) as api, openai_client(api) as client:
        with pytest.raises(openai.InternalServerError, match="OPENAI_BASE_URL") as raised:
            await client.chat.completions.create(model=MODEL, messages=HELLO)

    assert raised.value.status_code == 502


async def test_an_upstream_that_hangs_is_a_504(
    upstream_settings: Settings, upstream: Upstream, embedder: Embedder
) -> None:
    upstream.behave = upstream.hangs
    hasty = upstream_settings.model_copy(update={"generation_timeout_sec": 0.2})
    async with open_client(hasty) as api, openai_client(api) as client:
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError) as raised:
                await client.chat.completions.create(model=MODEL, messages=HELLO, stream=stream)

            assert raised.value.status_code == 504


async def test_when_its_reader_leaves_the_upstream_call_ends(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, pieces: Pieces
) -> None:
    pieces.put_nowait("One")
    body = {"model": MODEL, "messages": HELLO, "stream": True}

    async def calls() -> float:
        return (await scrape(upstream_api)).value("brag_llm_calls_in_progress")

    before = await calls()
    async with upstream_api.stream("POST", "/v1/chat/completions", json=body) as response:
        # Whoever drops this has left.
        chunks = response.aiter_bytes()
        await anext(chunks)
        assert await calls() == before + 1

    async with asyncio.timeout(5):
        await upstream.stream_ended.wait()

    async def is_over() -> bool:
        return await calls() == before

    await eventually(is_over)


async def test_the_upstream_gets_its_own_key_and_nothing_of_the_callers(
    upstream_settings: Settings, upstream: Upstream, database: Database, embedder: Embedder
) -> None:
    secured = auth_required(upstream_settings, openai_api_key=SecretStr(KEY))
    session = log_in(database, secured, join(database, "ann@example.org"))
    async with open_client(secured) as api:
        token = (await new_token(api, session, "ask"))["token"]
        async with openai_client(api, token) as client:
            await client.chat.completions.create(model=MODEL, messages=HELLO)

    assert upstream.headers[0]["authorization"] == f"Bearer {KEY}"
    assert token not in str(upstream.headers)
    assert "stainless" not in str(upstream.headers)


async def test_only_configured_models_are_passed_on(
    client: AsyncOpenAI, upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    with pytest.raises(openai.NotFoundError, match="test-model, other-model") as raised:
        await client.chat.completions.create(model="gpt-secret", messages=HELLO)
    assert raised.value.code == "model_not_found"
    # Of two values some read the first one.
    twice = '{"model": "gpt-secret", "model": "test-model", "messages": [{"role": "user"}]}'
    response = await upstream_api.post(
        "/v1/chat/completions", content=twice, headers={"content-type": "application/json"}
    )

    assert response.status_code == 200
    assert [request["model"] for request in upstream.requests] == [MODEL]


GOOD = '{"model": "test-model", "messages": [{"role": "user"}]}'
NO_REQUESTS = [
    ("{", 400),
    ("[1]", 400),
    ('{"model": "test-model"}', 400),
    ('{"model": 1, "messages": [{"role": "user"}]}', 400),
    ('{"model": "test-model", "messages": [1]}', 400),
    (GOOD.replace("}]}", '}], "t": NaN}'), 400),
    (GOOD.replace("}]}", '}], "t": 1e999}'), 400),
    (GOOD.replace("}]}", '}], "stream": 1}'), 400),
    (GOOD.replace("}]}", '}], "stream_options": 1}'), 400),
    ("[" * 100_000, 400),
    # Half of a surrogate pair, wherever it stands.
    (GOOD.replace('"}]', '", "content": "\\ud83d"}]'), 400),
    (GOOD.replace("test-model", "\\uD800"), 400),
    (GOOD.replace("}]}", '}], "\\ude00": 1}'), 400),
    (" " * 2_000_000, 413),
    (GOOD, 415),
]


async def test_what_is_no_request_is_told_in_openais_shape(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    for body, status in NO_REQUESTS:
        kind = "text/plain" if status == 415 else "application/json"
        response = await upstream_api.post(
            "/v1/chat/completions", content=body, headers={"content-type": kind}
        )

        assert response.status_code == status, response.text
        error = response.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert response.json()["detail"] == error["message"]
        assert error["request_id"] == response.headers["x-request-id"]
    assert upstream.requests == []


async def test_offline_it_is_said_that_there_is_no_language_model(api: httpx2.AsyncClient) -> None:
    async with openai_client(api) as client:
        answer = await client.chat.completions.create(model="offline-extractive", messages=HELLO)

    assert "No language model is configured" in (answer.choices[0].message.content or "")


async def test_an_unfinished_usage_event_is_kept_when_it_tells_more(
    upstream_settings: Settings, upstream: Upstream, embedder: Embedder
) -> None:
    last = chunk("two", finish_reason="stop") | {"usage": USAGE}
    upstream.behave = upstream.says(sse(chunk("One ")), sse(last), sse(usage()), "data: [DONE]\n")
    limited = upstream_settings.model_copy(update={"tokens_per_day": 1000})
    async with open_client(limited) as api, openai_client(api) as client:
        stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        assert await read(stream) == ["One ", "two"]
