"""A language model that refuses, fails, lies or doesn't answer."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from starlette.responses import Response

from settings import Settings
from tests.support import Event, open_client, read_events
from tests.upstream import MODEL, Upstream, chunk, completion, sse


async def complete(client: httpx2.AsyncClient) -> httpx2.Response:
    return await client.post("/v1/completion", json={"message": "Hi"})


async def stream(client: httpx2.AsyncClient) -> list[Event]:
    return await read_events(client, "/v1/completion-stream", "Hi")


def assert_failed(response: httpx2.Response, status: int, message: str, reason: str) -> None:
    assert response.status_code == status, response.text
    assert response.json()["detail"] == message
    assert reason in response.json()["error"]["details"].get("reason", ""), response.text
    assert "secret internals" not in response.text


@pytest.mark.parametrize("path", ["/v1/completion", "/v1/completion-stream"])
@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "OPENAI_API_KEY"), (404, "OPENAI_BASE_URL"), (429, "rate"), (500, "HTTP 500")],
)
async def test_a_refusal_is_a_502_that_says_what_to_check(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, path: str, status: int, reason: str
) -> None:
    upstream.behave = upstream.refuses(status, {"retry-after-ms": "1", "retry-after": "7"})

    response = await upstream_api.post(path, json={"message": "Hi"})

    assert_failed(response, 502, "OpenAI call failed", reason)
    assert response.json()["error"]["details"]["upstream_status"] == status


async def test_a_rate_limit_passes_on_when_to_try_again(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.refuses(429, {"retry-after-ms": "1", "retry-after": "7"})

    response = await complete(upstream_api)

    assert response.headers["retry-after"] == "7"


@pytest.mark.parametrize("retry_after", ["60", "Fri, 20 Nov 2026 13:00:00 GMT"])
async def test_a_long_rate_limit_is_left_to_the_caller(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, retry_after: str
) -> None:
    upstream.behave = upstream.refuses(429, {"retry-after": retry_after})

    response = await complete(upstream_api)

    assert_failed(response, 502, "OpenAI call failed", "rate")
    assert response.headers["retry-after"] == retry_after
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("retry_after", ["soon", "-1", '7"; evil', "x" * 2000, "\u00e9"])
async def test_a_retry_after_that_is_none_is_not_passed_on(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, retry_after: str
) -> None:
    upstream.behave = upstream.refuses(429, {"retry-after": retry_after})

    response = await complete(upstream_api)

    assert_failed(response, 502, "OpenAI call failed", "rate")
    assert "retry-after" not in response.headers


async def test_a_short_rate_limit_is_waited_out(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    answers = upstream.answers("Now it works")
    refuses = upstream.refuses(429, {"retry-after-ms": "1"})

    async def refuse_once(body: dict[str, Any]) -> Response:
        return await (refuses if len(upstream.requests) == 1 else answers)(body)

    upstream.behave = refuse_once

    assert (await complete(upstream_api)).json()["message"] == "Now it works"


@pytest.mark.parametrize("path", ["/v1/completion", "/v1/completion-stream"])
async def test_an_upstream_that_refuses_connections_is_a_502(
    settings: Settings, path: str, unused_url: str
) -> None:
    settings = settings.model_copy(update={"openai_base_url": unused_url})

    async with open_client(settings) as client:
        response = await client.post(path, json={"message": "Hi"})

    assert_failed(response, 502, "OpenAI call failed", "OPENAI_BASE_URL")


@pytest.mark.parametrize("path", ["/v1/completion", "/v1/completion-stream"])
async def test_an_upstream_that_never_answers_is_a_504(
    upstream_settings: Settings, upstream: Upstream, path: str
) -> None:
    upstream.behave = upstream.hangs
    settings = upstream_settings.model_copy(update={"generation_timeout_sec": 0.2})

    async with open_client(settings) as client:
        response = await client.post(path, json={"message": "Hi"})

    assert_failed(response, 504, "Stream timed out", "")


@pytest.mark.parametrize(
    "body",
    [
        "this is not JSON",
        {"no": "choices"},
        completion("x") | {"choices": []},
        completion("x") | {"choices": "many"},
        completion("x") | {"choices": [{"message": 5}]},
        completion("x") | {"choices": [{"message": {"content": ["x"]}}]},
        completion("x") | {"choices": [{"message": {"content": "x"}, "finish_reason": 5}]},
        completion("x") | {"model": {"name": "x"}},
        completion("\0"),
        [],
        5,
        completion(None),
        completion(""),
    ],
)
async def test_an_answer_that_is_none_is_a_502(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, body: object
) -> None:
    upstream.behave = upstream.sends(body)

    assert_failed(await complete(upstream_api), 502, "OpenAI call failed", "language model")


async def test_a_stream_that_hangs_in_the_middle_ends_with_an_error_event(
    upstream_settings: Settings, upstream: Upstream
) -> None:
    upstream.behave = upstream.says(sse(chunk("Half an")), then_hang=True)
    settings = upstream_settings.model_copy(update={"generation_timeout_sec": 0.5})

    async with open_client(settings) as client:
        message, error = await stream(client)
        [answer, _] = (await client.get("/v1/messages")).json()

    assert message.data["content"] == "Half an"
    assert error.name == "error"
    assert error.data["code"] == "upstream_timed_out"
    assert error.data["message"] == "Stream timed out"
    assert (answer["message"], answer["status"]) == ("Half an", "failed")


@pytest.mark.parametrize("then_break", [True, False])
async def test_a_stream_that_is_cut_off_ends_with_an_error_event(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, *, then_break: bool
) -> None:
    upstream.behave = upstream.says(sse(chunk("Half an")), then_break=then_break)

    message, error = await stream(upstream_api)
    [answer, _] = (await upstream_api.get("/v1/messages")).json()

    assert message.data["content"] == "Half an"
    assert error.name == "error"
    assert error.data["message"] == "OpenAI call failed"
    assert "closed the connection" in error.data["details"]["reason"]
    assert (answer["message"], answer["status"]) == ("Half an", "failed")


@pytest.mark.parametrize(
    "line",
    [
        "data: {broken\n\n",
        'data: {"choices": 5}\n\n',
        'data: {"choices": [{"delta": 5}]}\n\n',
        'data: {"choices": [{"delta": {"content": 5}}]}\n\n',
        'data: {"choices": [{"delta": {"content": "x"}, "finish_reason": {}}]}\n\n',
        'data: {"choices": [{"delta": {"content": "x"}}], "model": 5}\n\n',
        "data: []\n\n",
    ],
)
async def test_a_stream_of_something_else_ends_with_an_error_event(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, line: str
) -> None:
    upstream.behave = upstream.says(sse(chunk("Half an")), line)

    *_, error = await stream(upstream_api)
    [answer, _] = (await upstream_api.get("/v1/messages")).json()

    assert error.name == "error"
    assert error.data["message"] == "OpenAI call failed"
    assert error.data["request_id"]
    assert (answer["message"], answer["status"]) == ("Half an", "failed")


@pytest.mark.parametrize(
    "lines",
    [
        [sse(chunk(None, finish_reason="stop")), "data: [DONE]\n\n"],
        [sse({"id": "1", "model": MODEL, "choices": []}), "data: [DONE]\n\n"],
        ["data: [DONE]\n\n"],
    ],
)
async def test_a_stream_without_content_ends_with_an_error_event(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, lines: list[str]
) -> None:
    upstream.behave = upstream.says(*lines)

    *_, error = await stream(upstream_api)

    assert error.name == "error"
    assert error.data["message"] == "OpenAI call failed"


@pytest.mark.parametrize(
    "usage",
    ["many", 5, [], {}, {"prompt_tokens": "11", "completion_tokens": True}]
    + [{"prompt_tokens": number, "completion_tokens": 1.5} for number in (-1, 2**31, 10**30)],
)
async def test_a_usage_that_is_none_is_not_stated(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, usage: object
) -> None:
    unknown = {"prompt_tokens": None, "completion_tokens": None, "cost": None}

    upstream.behave = upstream.sends(completion("Yes") | {"usage": usage})
    answer = (await complete(upstream_api)).json()
    upstream.behave = upstream.says(sse(chunk("Yes", finish_reason="stop") | {"usage": usage}))
    *_, done = await stream(upstream_api)

    assert (answer["message"], answer["usage"]) == ("Yes", unknown)
    assert (done.name, done.data["usage"]) == ("done", unknown)


async def test_what_no_text_can_hold_is_taken_out_of_answers(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    upstream.behave = upstream.sends(completion("one\0 \ud83dtwo"))
    answer = (await complete(upstream_api)).json()
    upstream.behave = upstream.answers("one\0 \ud83d", "two")
    *messages, done = await stream(upstream_api)
    stored = (await upstream_api.get("/v1/messages")).json()

    assert answer["message"] == "one ?two"
    assert done.name == "done"
    assert "".join(event.data["content"] for event in messages) == "one ?two"
    assert [message["message"] for message in stored] == ["one ?two", "Hi"] * 2


@pytest.mark.parametrize(
    "response",
    [
        lambda: Response("<html>Please log in</html>", media_type="text/html"),
        lambda: Response("", 204),
        lambda: Response("", 302, headers={"location": "/login"}),
    ],
)
async def test_another_kind_of_server_is_a_failure_that_says_so(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, response: Callable[[], Response]
) -> None:
    async def behave(_: dict[str, Any]) -> Response:
        return response()

    upstream.behave = behave

    assert_failed(await complete(upstream_api), 502, "OpenAI call failed", "language model")
    streamed = await upstream_api.post("/v1/completion-stream", json={"message": "Hi"})
    assert "OpenAI call failed" in streamed.text


async def test_the_next_question_works_after_every_failure(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    works = upstream.behave
    for failure in (upstream.refuses(500, {"retry-after-ms": "1"}), upstream.sends("nonsense")):
        upstream.behave = failure
        await complete(upstream_api)
    upstream.behave = works

    assert (await complete(upstream_api)).status_code == 200
