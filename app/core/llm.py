"""The language model, through the plain OpenAI client."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

import openai
from async_timeout import timeout_at
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam

from app.core.exceptions import UpstreamFailed, UpstreamTimedOut
from app.core.metrics import COST, LLM_CALLS, TOKENS
from app.core.prices import Prices

__all__ = [
    "CUT_OFF",
    "EMPTY_ANSWER",
    "LLM",
    "NOT_A_COMPLETION",
    "UNREACHABLE",
    "AnswerStream",
    "Completion",
    "Delta",
    "ModelCall",
    "Purpose",
    "Usage",
    "count_call",
    "failed",
    "noted_calls",
    "read_usage",
    "refused",
]

logger = logging.getLogger(__name__)

REASONS = {
    401: "The language model rejected the API key. Check OPENAI_API_KEY.",
    403: "The language model refused access. Check OPENAI_API_KEY.",
    404: "The language model's server does not know this model or path. "
    "Check OPENAI_BASE_URL and OPENAI_MODELS.",
    429: "The language model's server limits the rate of requests. Try again later.",
}
TOO_LONG = (
    "The prompt is longer than the model's context window. Set CONTEXT_TOKENS to that of the "
    "smallest model."
)
UNREACHABLE = "The language model's server can't be reached. Check OPENAI_BASE_URL."
CUT_OFF = "The language model's server closed the connection before the answer was complete."
NOT_A_COMPLETION = "The language model's server sent something that is not a chat completion."
EMPTY_ANSWER = "The language model sent an empty answer."
# Seconds or a date; what else an upstream may say there is not passed on.
RETRY_AFTER = re.compile(r"[0-9]{1,9}|\w{3}, [\w :]{1,30}", re.ASCII)
# What a column of PostgreSQL's type integer holds.
MAX_TOKENS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, as the upstream counts them, and their cost; None where unknown."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: Decimal | None = None


class Purpose(StrEnum):
    """What a call is for."""

    ANSWER = "answer"
    REWRITING = "rewriting"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A call that has ended, under the model that was asked for: an upstream may say anything."""

    model: str
    purpose: Purpose
    usage: Usage


_noted: ContextVar[list[ModelCall] | None] = ContextVar("noted_calls", default=None)


@contextmanager
def noted_calls() -> Iterator[list[ModelCall]]:
    """Yield a list of the whole answers that are asked for in the block, or by its tasks."""
    calls: list[ModelCall] = []
    token = _noted.set(calls)
    try:
        yield calls
    finally:
        _noted.reset(token)


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer."""

    text: str
    model: str
    finish_reason: str | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of a streamed answer; `finish_reason` is set on the last one."""

    content: str
    finish_reason: str | None


class LLM:
    """Chat completions within a time limit, with every failure an `AppError`."""

    def __init__(
        self,
        client: AsyncOpenAI,
        *,
        timeout_sec: float,
        prices: Prices | None = None,
        purpose: Purpose = Purpose.ANSWER,
    ) -> None:
        self._client = client
        self._timeout_sec = timeout_sec
        self._prices = prices or Prices()
        self._purpose = purpose

    async def complete(
        self,
        messages: Sequence[ChatCompletionMessageParam],
        model: str,
        options: Mapping[str, Any] | None = None,
    ) -> Completion:
        """Answer at once; `options` are further fields of the request.

        Raises:
            UpstreamFailed: the upstream can't be reached, refused, or sent no answer.
            UpstreamTimedOut: there was no whole answer in time.
        """
        with LLM_CALLS.track_inprogress(), _translated_errors(started=False):
            async with timeout_at(self._deadline()):
                response = await self._client.chat.completions.create(
                    messages=messages, model=model, extra_body=options or None
                )
            completion = _completion(response, model)
        usage = _priced(completion.usage, model, self._prices)
        count_call(model, usage)
        if (noted := _noted.get()) is not None:
            noted.append(ModelCall(model, self._purpose, usage))
        return replace(completion, usage=usage)

    async def stream(
        self,
        messages: Sequence[ChatCompletionMessageParam],
        model: str,
        options: Mapping[str, Any] | None = None,
    ) -> "AnswerStream":
        """Open a streamed answer; what fails before its first byte fails here.

        `options` are further fields of the request.

        Raises:
            UpstreamFailed: the upstream can't be reached or refused.
            UpstreamTimedOut: the upstream did not begin in time.
        """
        deadline = self._deadline()
        with LLM_CALLS.track_inprogress(), _translated_errors(started=False):
            async with timeout_at(deadline):
                chunks = await self._client.chat.completions.create(
                    messages=messages,
                    model=model,
                    stream=True,
                    stream_options={"include_usage": True},
                    extra_body=options or None,
                )
        return AnswerStream(chunks, model, deadline, self._prices)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout_sec


class AnswerStream:
    """A streamed answer: iterate over it once, then close it.

    `model` and `usage` are what the upstream said so far.
    """

    def __init__(
        self,
        chunks: AsyncStream[ChatCompletionChunk],
        model: str,
        deadline: float,
        prices: Prices,
    ) -> None:
        self._chunks = chunks
        self._prices = prices
        self._deadline = deadline
        self._asked_model = model
        self._is_open = True
        self.model = model
        self.usage = Usage()
        LLM_CALLS.inc()

    async def __aiter__(self) -> AsyncIterator[Delta]:
        """Yield the pieces as they come.

        Raises:
            UpstreamFailed: the upstream broke off or sent something else.
            UpstreamTimedOut: the answer was not complete in time.
        """
        empty, finished = True, False
        while True:
            with _translated_errors(started=True):
                # The limit stands around each wait and not around the loop: between two
                # pieces the consumer runs, in whatever task it likes.
                async with timeout_at(self._deadline):
                    chunk = await anext(self._chunks, None)
                if chunk is None:
                    break
                delta = self._read(chunk)
            if delta is None:
                continue
            empty = empty and not delta.content
            finished = finished or delta.finish_reason is not None
            yield delta
        if not finished:
            raise failed(NOT_A_COMPLETION if empty else CUT_OFF)
        if empty:
            raise failed(EMPTY_ANSWER)

    async def close(self) -> None:
        """End the upstream call, wherever it is."""
        if self._is_open:
            self._is_open = False
            LLM_CALLS.dec()
            count_call(self._asked_model, self.usage)
        await self._chunks.close()

    def _read(self, chunk: ChatCompletionChunk) -> Delta | None:
        self.model = _text(chunk.model) or self.model
        if chunk.usage is not None:
            self.usage = _priced(_usage(chunk.usage), self._asked_model, self._prices)
        if not chunk.choices:
            return None
        choice = chunk.choices[0]
        content = _text(choice.delta.content)
        finish_reason = _text(choice.finish_reason) or None
        if not content and finish_reason is None:
            return None
        return Delta(content, finish_reason)


def _priced(usage: Usage, model: str, prices: Prices) -> Usage:
    return replace(usage, cost=prices.cost(model, usage))


def count_call(model: str, usage: Usage) -> None:
    """Count what a call has used, for metrics; `model` is one that requests may name."""
    if usage.cost is not None:
        COST.labels(model).inc(float(usage.cost))
    for kind, tokens in (("prompt", usage.prompt_tokens), ("completion", usage.completion_tokens)):
        if tokens is not None:
            TOKENS.labels(model, kind).inc(tokens)


def _completion(response: ChatCompletion, model: str) -> Completion:
    if not response.choices:
        raise failed(NOT_A_COMPLETION)
    choice = response.choices[0]
    text = _text(choice.message.content)
    if not text:
        raise failed(EMPTY_ANSWER)
    return Completion(
        text,
        _text(response.model) or model,
        _text(choice.finish_reason) or None,
        _usage(response.usage),
    )


# The client doesn't validate: an upstream that lies yields attributes of any type.


def _text(value: object) -> str:
    """Return text that JSON and PostgreSQL can hold: no NUL, no half of a surrogate pair."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("not text")
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def _usage(value: object) -> Usage:
    return read_usage(
        getattr(value, "prompt_tokens", None), getattr(value, "completion_tokens", None)
    )


def read_usage(prompt_tokens: object, completion_tokens: object) -> Usage:
    """Return the tokens that an upstream tells of; None for what can't be a number of them."""
    return Usage(_tokens(prompt_tokens), _tokens(completion_tokens))


def _tokens(value: object) -> int | None:
    # A bool is an int, but no number to PostgreSQL.
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_TOKENS else None


@contextmanager
def _translated_errors(*, started: bool) -> Iterator[None]:
    try:
        yield
    except (TimeoutError, openai.APITimeoutError) as error:
        logger.warning("language model timed out")
        raise UpstreamTimedOut from error
    except openai.APIStatusError as error:
        retry_after = error.response.headers.get("retry-after", "")
        raise refused(error.status_code, error.code, retry_after) from error
    except openai.APIConnectionError as error:
        raise failed(CUT_OFF if started else UNREACHABLE, error) from error
    except openai.OpenAIError as error:
        raise failed(NOT_A_COMPLETION, error) from error
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        # From reading what the upstream sent: broken JSON, or fields of other types.
        raise failed(NOT_A_COMPLETION, error) from error


def refused(status: int, code: object, retry_after: str) -> UpstreamFailed:
    """Return the error of an upstream that answered with a status of failure."""
    reason = REASONS.get(status, f"The language model's server answered with HTTP {status}.")
    if code == "context_length_exceeded":
        reason = TOO_LONG
    details: dict[str, Any] = {"reason": reason, "upstream_status": status}
    headers = {"Retry-After": retry_after} if RETRY_AFTER.fullmatch(retry_after) else {}
    logger.warning("language model refused", extra={"upstream_status": status})
    return UpstreamFailed(details=details, headers=headers)


def failed(reason: str, error: Exception | None = None) -> UpstreamFailed:
    """Return the error of an upstream that failed for a reason."""
    cause = type(error).__name__ if error else None
    logger.warning("language model failed", extra={"reason": reason, "error": cause})
    return UpstreamFailed(details={"reason": reason})
