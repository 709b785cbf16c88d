"""Chat completions as they are asked for."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from fastapi import Request

from app.compat.openai.errors import BadRequest, UnsupportedMediaType

__all__ = ["ChatRequest", "read_body", "required_text"]

MAX_MODEL_CHARACTERS: Final = 200
SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request for a chat completion; `fields` are all of it, whatever they mean."""

    fields: Mapping[str, Any]
    model: str
    messages: Sequence[Mapping[str, Any]]
    is_streamed: bool

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Read what decides where a request goes.

        Raises:
            BadRequest: it doesn't say that.
        """
        model = required_text(fields, "model")
        messages = fields.get("messages")
        if not isinstance(messages, list) or not messages:
            raise BadRequest("messages: must be a list of one message at least", param="messages")
        for number, message in enumerate(messages):
            if not isinstance(message, dict) or not isinstance(message.get("role"), str):
                name = f"messages[{number}]"
                raise BadRequest(f"{name}: must be an object with a role", param=name)
        stream = fields.get("stream")
        if stream is not None and not isinstance(stream, bool):
            raise BadRequest("stream: must be true or false", param="stream")
        options = fields.get("stream_options")
        if options is not None and not isinstance(options, dict):
            raise BadRequest("stream_options: must be an object", param="stream_options")
        return cls(fields, model, messages, bool(stream))

    @property
    def wants_usage(self) -> bool:
        """Whether its stream is to end with what it has used."""
        return bool((self.fields.get("stream_options") or {}).get("include_usage"))

    def with_usage(self) -> Self:
        """Return the request with that wish."""
        options = {**(self.fields.get("stream_options") or {}), "include_usage": True}
        return replace(self, fields={**self.fields, "stream_options": options})

    def encode(self) -> bytes:
        """Return the request as JSON.

        It is written anew: of a field that it names twice, others might read the other value.
        """
        return json.dumps(self.fields, separators=(",", ":")).encode()


async def read_body(request: Request) -> dict[str, Any]:
    """Return the fields of a request's body.

    Raises:
        UnsupportedMediaType, BadRequest: it is no JSON object.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        # A page of another origin may send anything else without asking first.
        raise UnsupportedMediaType
    body = await request.body()
    try:
        text = body.decode("utf-8-sig")
        fields = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        if SURROGATE.search(text):
            # Half of a pair is no character, and could neither be stored nor told in an error.
            json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadRequest(
            "The body is not valid JSON: it has half of a surrogate pair.", code="invalid_json"
        ) from None
    except (ValueError, RecursionError):
        raise BadRequest("The body is not valid JSON.", code="invalid_json") from None
    if not isinstance(fields, dict):
        raise BadRequest("The body must be a JSON object.", code="invalid_json")
    return fields


def required_text(fields: Mapping[str, Any], name: str) -> str:
    """Return a short text that must be there."""
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_MODEL_CHARACTERS:
        raise BadRequest(f"{name}: must be a name", param=name)
    return value


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(text)
    return number
