"""From a chat completion's request to a question: what can be honoured of it, and what can't.

What can't be is an error that says so; a misspelt field must not be taken for a wish that was
granted.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final
from uuid import uuid4

from app.chat.constants import ChatRole
from app.chat.given import GivenQuestion
from app.chat.past import PastMessage
from app.chat.provenance import Wishes
from app.compat.openai.errors import BadRequest
from app.compat.openai.footnotes import without_footnotes
from app.compat.openai.requests import ChatRequest
from app.core.text import storable

__all__ = ["read_question"]

INSTRUCTING: Final = ("system", "developer")
# How the language model chooses its words, and what it is told for its own books.
PASSED_ON: Final = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "min_p",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "repetition_penalty",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "temperature",
        "top_k",
        "top_p",
        "user",
        "verbosity",
    }
)
# Of lists and objects in one of those; two are the most that any has.
MAX_LEVELS: Final = 8
READ: Final = frozenset(("model", "messages", "stream", "stream_options"))


def _is_nothing(value: object) -> bool:
    return not value


# What an answer from documents can't have; and when nothing of it is asked for.
REFUSED: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "tools": ("`brag` calls no tools", _is_nothing),
    "tool_choice": ("`brag` calls no tools", lambda value: value in (None, "none", "auto")),
    "parallel_tool_calls": ("", lambda _: True),
    "functions": ("`brag` calls no functions", _is_nothing),
    "function_call": ("`brag` calls no functions", lambda value: value in (None, "none", "auto")),
    "n": ("`brag` gives one answer", lambda value: value in (None, 1)),
    "logprobs": ("an answer from documents has none", _is_nothing),
    "top_logprobs": ("an answer from documents has none", _is_nothing),
    "audio": ("`brag` answers in text", _is_nothing),
    "modalities": ("`brag` answers in text", lambda value: value in (None, [], ["text"])),
    "response_format": (
        "an answer with footnotes is text",
        lambda value: value is None or value == {"type": "text"},
    ),
    "web_search_options": ("`brag` searches your documents alone", lambda value: value is None),
    "prediction": ("an answer from documents can't be predicted", lambda value: value is None),
}
ELSEWHERE: Final = "ask a language model of /v1/models by its own name for that"


def read_question(asked: ChatRequest, model: str) -> GivenQuestion:
    """Return what is asked of the documents, to be answered by a language model.

    The last message is the question, those of the user and the assistant before it are the history,
    and those of system and developer say how to word it.

    Raises:
        BadRequest: it asks for what can't be done.
    """
    options = _options(asked.fields)
    *before, last = [_read(number, one) for number, one in enumerate(asked.messages)]
    if last[0] != ChatRole.USER:
        raise BadRequest("messages: the last one must be the user's question", param="messages")
    instructions = "\n\n".join(text for role, text in before if role in INSTRUCTING)
    said = [(role, text) for role, text in before if role not in INSTRUCTING]
    try:
        question = storable(last[1])
        # As PostgreSQL keeps them.
        _no_nul(json.dumps([instructions, options]))
    except ValueError as error:
        raise BadRequest(f"messages: {error}", param="messages") from None
    return GivenQuestion(
        question, model, _past(said), Wishes(instructions=instructions.strip(), options=options)
    )


def _options(fields: Mapping[str, Any]) -> dict[str, Any]:
    options = {}
    for name, value in fields.items():
        if name in REFUSED:
            problem, is_harmless = REFUSED[name]
            if not is_harmless(value):
                raise BadRequest(f"{name}: {problem}; {ELSEWHERE}", param=name, code="unsupported")
        elif name in PASSED_ON:
            if _is_nested(value, MAX_LEVELS):
                raise BadRequest(f"{name}: is nested too deeply", param=name)
            if value is not None:
                options[name] = value
        elif name not in READ:
            raise BadRequest(f"{name}: there is no such field", param=name, code="unknown_field")
    return options


def _read(number: int, message: Mapping[str, Any]) -> tuple[str, str]:
    """Return who says a message, and its text."""
    role, content, name = message["role"], message.get("content"), f"messages[{number}]"
    if role not in (*INSTRUCTING, ChatRole.USER, ChatRole.ASSISTANT):
        raise BadRequest(
            f"{name}.role: `brag` calls no tools; {ELSEWHERE}", param=name, code="unsupported"
        )
    if content is None or isinstance(content, str):
        return role, content or ""
    if not isinstance(content, list):
        raise BadRequest(f"{name}.content: must be text, or a list of parts", param=name)
    return role, "\n\n".join(_part(f"{name}.content[{i}]", part) for i, part in enumerate(content))


def _part(name: str, part: object) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "refusal") and isinstance(part, dict) and isinstance(part.get(kind), str):
        text: str = part[kind]
        return text
    raise BadRequest(
        f"{name}: `brag` reads text alone, no images, audio or files; {ELSEWHERE}",
        param=name,
        code="unsupported",
    )


def _past(said: Sequence[tuple[str, str]]) -> list[PastMessage]:
    """Return what was said before; what one says in several messages is one."""
    past: list[PastMessage] = []
    for role, together in groupby(said, key=itemgetter(0)):
        is_answer = role == ChatRole.ASSISTANT
        texts = [without_footnotes(text) if is_answer else text for _, text in together]
        past.append(PastMessage(uuid4(), ChatRole(role), "\n\n".join(texts)))
    return past


def _no_nul(dumped: str) -> None:
    if re.search(r"(?<!\\)(?:\\\\)*\\u0000", dumped):
        raise ValueError("must not contain a NUL character")


def _is_nested(value: object, levels: int) -> bool:
    """Whether a value has more levels of lists and objects than that."""
    if not isinstance(value, dict | list):
        return False
    within = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_nested(one, levels - 1) for one in within)
