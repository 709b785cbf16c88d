"""Chat completions that go to the language model as they are: limited and counted, not stored."""

import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio

from app.accounts.limits import spend_tokens
from app.accounts.models import Caller
from app.chat.answers import counted_calls
from app.chat.budget import estimate_tokens
from app.chat.live import LiveAnswers
from app.chat.prompts import message_text
from app.chat.turns import Asked, Ending, begin_passthrough, end_turn
from app.compat.openai.errors import encode_error
from app.compat.openai.relay import Relay, RelayedStream
from app.compat.openai.requests import ChatRequest
from app.core.database import Database, Queries
from app.core.exceptions import AppError
from app.core.idempotency import NO_CLAIM
from app.core.llm import ModelCall, Purpose, Usage, count_call
from app.core.metrics import LLM_CALLS
from app.core.prices import Prices
from app.core.tasks import uninterrupted

__all__ = ["Passthrough"]

logger = logging.getLogger(__name__)

ENDING_SEC: Final = 10


@dataclass(slots=True)
class _Call:
    """A call on its way."""

    request: ChatRequest
    caller: Caller
    asked: Asked | None
    # What it has used; None as long as the upstream has not taken it.
    usage: Usage | None = None
    pieces: int = 0


class Passthrough:
    """Passes chat completions through."""

    def __init__(
        self,
        database: Database,
        live: LiveAnswers,
        relay: Relay,
        *,
        generation_limit: int,
        prices: Prices,
    ) -> None:
        self._database = database
        self._live = live
        self._relay = relay
        self._generation_limit = generation_limit
        self._prices = prices

    async def complete(self, request: ChatRequest, caller: Caller) -> bytes:
        """Return the upstream's whole answer as it is.

        Raises:
            TooManyGenerations: the caller has too many answers in the making.
            UpstreamFailed, UpstreamTimedOut: the language model failed.
        """
        call = await self._begin(request, caller)
        try:
            # Whoever leaves meanwhile has used it.
            call.usage = Usage()
            answer, call.usage = await self._relay.complete(request.encode())
        except AppError:
            call.usage = None
            raise
        finally:
            await uninterrupted(self._end(call))
        return answer

    async def stream(self, request: ChatRequest, caller: Caller) -> AsyncGenerator[bytes]:
        """The same as a stream of events; what fails early raises here."""
        call = await self._begin(request, caller)
        try:
            # What is limited, or costs, is counted, whether its reader wants to know it or not.
            is_counted = bool(caller.spends) or self._prices.are_known
            adds_usage = is_counted and not request.wants_usage
            sent = request.with_usage() if adds_usage else request
            # Whoever leaves meanwhile has used it.
            call.usage = Usage()
            relayed = await self._relay.stream(sent.encode(), keep_usage=not adds_usage)
            events = self._events(call, relayed)
            # A generator that has not begun would not close the upstream call when it is closed.
            await anext(events)
        except BaseException as error:
            if isinstance(error, AppError):
                call.usage = None
            await uninterrupted(self._end(call))
            raise
        return events

    async def _events(self, call: _Call, relayed: RelayedStream) -> AsyncGenerator[bytes]:
        try:
            yield b""
            async for events in relayed:
                yield events
        except AppError as error:
            yield encode_error(error)
        finally:
            with anyio.CancelScope(shield=True):
                await relayed.close()
                call.usage, call.pieces = relayed.usage, relayed.pieces
                await self._end(call)

    async def _begin(self, request: ChatRequest, caller: Caller) -> _Call:
        asked = None
        if self._generation_limit:
            asked = Asked(
                account_id=caller.account_id,
                model=request.model,
                process_id=self._live.process_id,
                limit=self._generation_limit,
            )
            await self._live.begin_turn(begin_passthrough, asked)
        LLM_CALLS.inc()
        return _Call(request, caller, asked)

    async def _end(self, call: _Call) -> None:
        """Count what was used, and that the answer is no longer in the making."""
        LLM_CALLS.dec()
        spent = _tokens(call) if call.caller.spends else 0
        if call.usage is not None:
            cost = self._prices.cost(call.request.model, call.usage)
            call.usage = replace(call.usage, cost=cost)
            count_call(call.request.model, call.usage)
        elif call.asked is None:
            return
        try:
            with anyio.fail_after(ENDING_SEC):
                await self._database.run(_end, call, spent)
        except (AppError, TimeoutError):
            logger.warning("the tokens of a call could not be counted", extra={"tokens": spent})
            if call.asked is not None:
                self._live.end_soon(Ending(call.asked.answer_id, NO_CLAIM))


def _end(queries: Queries, call: _Call, spent: int) -> None:
    if call.asked is not None:
        end_turn(queries, call.asked.answer_id, 1, [])
    if call.usage is not None:
        model_call = ModelCall(call.request.model, Purpose.ANSWER, call.usage)
        queries.insert_model_calls(
            account_id=call.caller.account_id, calls=counted_calls([model_call])
        )
    if spent:
        spend_tokens(queries, call.caller.spends, spent)


def _tokens(call: _Call) -> int:
    """Return what a call has cost; where the language model doesn't say, about as much."""
    if call.usage is None:
        return 0
    prompt, completion = call.usage.prompt_tokens, call.usage.completion_tokens
    if prompt is None:
        prompt = estimate_tokens("".join(map(_text, call.request.messages)))
    # A piece of a stream is a token, as a rule.
    return prompt + (call.pieces if completion is None else completion)


def _text(message: Mapping[str, Any]) -> str:
    try:
        return message_text(message)
    except (AttributeError, TypeError):
        # Whatever it is, the upstream has made something of it.
        return str(message.get("content"))
