"""The offline extractive model: an OpenAI-compatible ASGI app that answers by quoting.

It stands in until a language model is configured, and is reached like one, through the OpenAI
client, so the same code serves both. It writes nothing of its own: to a question with passages
(see `prompts`) it quotes them, to anything else it says how to configure a language model.
"""

import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.chat.constants import NO_DOCUMENTS_FOUND
from app.chat.extraction import SentenceScorer, extract_answer
from app.chat.prompts import message_text, parse_question
from settings import OFFLINE_MODEL

__all__ = ["NO_LANGUAGE_MODEL", "OFFLINE_MODEL", "create_offline_model"]

NO_LANGUAGE_MODEL = """\
No language model is configured, so I can only quote documents.

- For OpenAI, set `OPENAI_API_KEY` in `.env`.
- For any other OpenAI-compatible server, such as Ollama or vLLM, set `OPENAI_BASE_URL` in `.env`.

Then restart. Meanwhile, `POST /v1/qa-create` answers questions from your documents."""


class _Message(BaseModel):
    role: str
    content: str | list[dict[str, Any]] | None = None


class _StreamOptions(BaseModel):
    include_usage: bool = False


class _ChatCompletionRequest(BaseModel):
    """What is read of a request; the options that steer an LLM's wording have no meaning here."""

    model: str
    messages: list[_Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


def create_offline_model(scorer: SentenceScorer | None = None) -> Starlette:
    """Return the app; with a `scorer`, meaning counts beside words in choosing sentences."""
    return Starlette(
        routes=[
            Route("/v1/chat/completions", partial(_complete, scorer), methods=["POST"]),
            Route("/v1/models", _list_models),
        ],
        exception_handlers={HTTPException: _http_error, ValidationError: _invalid_request},
    )


async def _list_models(_: Request) -> Response:
    model = {"id": OFFLINE_MODEL, "object": "model", "created": 0, "owned_by": "brag"}
    return JSONResponse({"object": "list", "data": [model]})


async def _complete(scorer: SentenceScorer | None, request: Request) -> Response:
    asked = _ChatCompletionRequest.model_validate_json(await request.body())
    if asked.model != OFFLINE_MODEL:
        message = f"The model `{asked.model}` does not exist; there is only `{OFFLINE_MODEL}`."
        return _error(404, message, param="model", code="model_not_found")
    messages = [message.model_dump() for message in asked.messages]
    answer = await _answer(messages, scorer)
    usage = _usage(messages, answer)
    head = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time()), "model": OFFLINE_MODEL}
    if asked.stream:
        wants_usage = asked.stream_options is not None and asked.stream_options.include_usage
        events = _events(head, answer, usage if wants_usage else None)
        return StreamingResponse(events, media_type="text/event-stream")
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": answer, "refusal": None},
        "finish_reason": "stop",
        "logprobs": None,
    }
    return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})


async def _answer(messages: list[dict[str, Any]], scorer: SentenceScorer | None) -> str:
    question = parse_question(messages)
    if question is None:
        return NO_LANGUAGE_MODEL
    query, passages = question
    return await extract_answer(query, passages, scorer) or NO_DOCUMENTS_FOUND


async def _events(
    head: Mapping[str, Any], answer: str, usage: Mapping[str, int] | None
) -> AsyncIterator[str]:
    def event(delta: Mapping[str, str], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return _event({**head, "object": "chat.completion.chunk", "choices": [choice]})

    yield event({"role": "assistant", "content": ""})
    for piece in _PIECE.findall(answer):
        yield event({"content": piece})
    yield event({}, "stop")
    if usage is not None:
        yield _event({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    yield "data: [DONE]\n\n"


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _usage(messages: list[dict[str, Any]], answer: str) -> dict[str, int]:
    """Count words and punctuation marks: the model has no tokens of its own."""
    prompt = sum(len(_TOKEN.findall(message_text(message))) for message in messages)
    completion = len(_TOKEN.findall(answer))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail)


async def _invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    param = ".".join(map(str, first["loc"])) or None
    return _error(400, f"{param}: {first['msg']}" if param else first["msg"], param=param)


def _error(
    status: int, message: str, *, param: str | None = None, code: str | None = None
) -> Response:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return JSONResponse({"error": error}, status_code=status)


# A few words at a time: smooth to read, and a tenth of the work of single tokens.
_PIECE = re.compile(r"(?:\s*\S+){1,4}")
_TOKEN = re.compile(r"\w+|[^\w\s]")
