"""Chat completions from the documents: the answers of `/v1/qa-create`, as OpenAI words them."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from app.accounts.models import Caller
from app.chat.answers import Prepared, StoredAnswer
from app.chat.budget import estimate_tokens
from app.chat.exceptions import AnswerCancelled
from app.chat.prompts import message_text
from app.chat.services import ChatService, OpenAnswer
from app.chat.streaming import ChatEvent
from app.compat.openai.errors import DONE, encode_error
from app.compat.openai.footnotes import Footnotes, make_footnotes
from app.compat.openai.reading import read_question
from app.compat.openai.requests import ChatRequest
from settings import Settings

__all__ = ["Answering"]


class Answering:
    """Answers chat completions from the documents."""

    def __init__(self, settings: Settings, chat: ChatService) -> None:
        self._settings = settings
        self._chat = chat

    async def complete(self, asked: ChatRequest, model: str, caller: Caller) -> dict[str, Any]:
        """Return a `chat.completion`, answered by a language model.

        Raises:
            BadRequest: it asks for what can't be done.
            AppError: as `ChatService.ask`.
        """
        opened = await self._chat.open_answer(read_question(asked, model), caller)
        async with aclosing(opened.events) as events:
            async for _ in events:
                pass
        if opened.generation.failure is not None:
            raise opened.generation.failure
        stored = opened.generation.stored
        if stored is None:
            raise AnswerCancelled
        notes = await self._footnotes(opened, stored)
        message = {
            "role": "assistant",
            "content": stored.draft.text + notes.text,
            "refusal": None,
            "annotations": notes.annotations,
        }
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": stored.draft.finish_reason or "stop",
            "logprobs": None,
        }
        return {
            **_head("chat.completion", opened, asked),
            "choices": [choice],
            "usage": _usage(opened.generation.prepared, stored),
        }

    async def stream(self, asked: ChatRequest, model: str, caller: Caller) -> AsyncGenerator[bytes]:
        """The same as a stream of chunks; what fails early raises here."""
        opened = await self._chat.open_answer(read_question(asked, model), caller)
        chunks = self._chunks(opened, asked)
        # Else it would not close what it holds.
        await anext(chunks)
        return chunks

    async def _chunks(self, opened: OpenAnswer, asked: ChatRequest) -> AsyncGenerator[bytes]:
        head = _head("chat.completion.chunk", opened, asked)

        def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
            return _event({**head, "choices": [choice]})

        async with aclosing(opened.events) as events:
            yield b""
            yield chunk({"role": "assistant", "content": ""})
            async for one in events:
                if content := _content(one):
                    yield chunk({"content": content})
        generation = opened.generation
        if generation.failure is not None or generation.stored is None:
            yield encode_error(generation.failure or AnswerCancelled())
            return
        notes = await self._footnotes(opened, generation.stored)
        if notes.text:
            yield chunk({"content": notes.text})
        if notes.annotations:
            yield chunk({"annotations": notes.annotations})
        yield chunk({}, generation.stored.draft.finish_reason or "stop")
        if asked.wants_usage:
            usage = _usage(generation.prepared, generation.stored)
            yield _event({**head, "choices": [], "usage": usage})
        yield DONE

    async def _footnotes(self, opened: OpenAnswer, stored: StoredAnswer) -> Footnotes:
        sources = opened.generation.prepared.sources
        return await asyncio.to_thread(
            make_footnotes, self._settings, stored.draft.text, sources, stored.citations
        )


def _head(kind: str, opened: OpenAnswer, asked: ChatRequest) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{opened.generation.prepared.question.answer_id}",
        "object": kind,
        "created": int(time.time()),
        "model": asked.model,
    }


def _usage(prepared: Prepared, stored: StoredAnswer) -> dict[str, int]:
    """Return what the language model has used; where it doesn't say, about as much."""
    prompt, completion = stored.usage.prompt_tokens, stored.usage.completion_tokens
    if prompt is None:
        prompt = estimate_tokens("".join(map(message_text, prepared.messages or ())))
    if completion is None:
        completion = estimate_tokens(stored.draft.text)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _content(event: ChatEvent | None) -> str:
    if event is None or event.name != "message":
        return ""
    content: str = json.loads(event.data)["content"]
    return content


def _event(data: dict[str, Any]) -> bytes:
    encoded = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"data: {encoded}\n\n".encode()
