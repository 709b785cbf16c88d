"""What fits into the language model's context window, beside room for its answer.

Only the upstream knows its own tokenizer, so tokens are counted with the embedding model's, and
never taken for fewer than the bytes suggest: what is one unknown word to one tokenizer may be many
tokens to the other.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from anyio import to_thread

from app.core.exceptions import InvalidRequest

__all__ = ["TokenBudget", "estimate_tokens"]

BYTES_PER_TOKEN: Final = 4
# Letters beyond ASCII, and what has no words: hashes, base64, long paths.
DENSE_BYTES_PER_TOKEN: Final = 2
WORDLESS = re.compile(r"[!-~]{21,}")
# The instructions, and the words around passages and question.
INSTRUCTION_TOKENS: Final = 400
# A question must leave room for one passage at least.
SMALLEST_CONTEXT_TOKENS: Final = 1_000
MAX_ANSWER_TOKENS: Final = 2_048
# Counting so few bytes would take longer than they matter.
SHORT: Final = 200

Count = Callable[[Sequence[str]], Sequence[int]]
T = TypeVar("T")


class TokenBudget:
    """A context window of `context_tokens`, a quarter of which, 2,048 at most, is the answer's."""

    def __init__(self, context_tokens: int, count: Count) -> None:
        self.context_tokens = context_tokens
        self._count_by_model = count
        self._room = context_tokens - min(context_tokens // 4, MAX_ANSWER_TOKENS)

    @property
    def room(self) -> int:
        """How many tokens a whole prompt may have."""
        return self._room

    async def check(self, message: str) -> None:
        """Make sure that a message, or a whole prompt, fits.

        Raises:
            InvalidRequest: it doesn't.
        """
        await self._require(message, self._room)

    async def room_beside(self, question: str) -> int:
        """Return how many tokens of passages fit beside a question.

        Raises:
            InvalidRequest: the question leaves no room for any.
        """
        room = self._room - INSTRUCTION_TOKENS
        return room - await self._require(question, room - SMALLEST_CONTEXT_TOKENS)

    async def pack(self, items: Sequence[Sequence[tuple[T, str]]], room: int) -> list[T]:
        """Take of each item, best first, the first of its forms that still fits, if one does.

        Each form comes with its text as it stands in the prompt; `room` is in tokens.
        """
        # A byte is a token at most.
        if sum(len(forms[0][1].encode()) for forms in items) <= room:
            return [forms[0][0] for forms in items]
        counted = iter(await self.count([text for forms in items for _, text in forms]))
        packed: list[T] = []
        for forms in items:
            sizes = [(form, next(counted)) for form, _ in forms]
            form, tokens = next((fits for fits in sizes if fits[1] <= room), (None, 0))
            if form is not None:
                packed.append(form)
                room -= tokens
        return packed

    async def _require(self, message: str, room: int) -> int:
        """Return the tokens of a message, or a few more: those of a short one are not counted."""
        size = len(message.encode())
        [tokens] = [size] if size <= SHORT else await self.count([message])
        if tokens > room:
            raise InvalidRequest(
                f"message: has about {tokens:,} tokens, but only {max(room, 0):,} fit into the "
                f"language model's context window of {self.context_tokens:,} (CONTEXT_TOKENS). "
                "Please shorten it.",
                details={"tokens": tokens, "limit": max(room, 0)},
            )
        return tokens

    async def count(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens some texts have, rather too many than too few."""
        counted = await to_thread.run_sync(self._count_by_model, texts)
        return [
            max(count, estimate_tokens(text)) for text, count in zip(texts, counted, strict=True)
        ]


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has, by its bytes."""
    size = len(text.encode())
    wordless = sum(len(found[0]) for found in WORDLESS.finditer(text))
    beyond_ascii = size - sum(map(str.isascii, text))
    plain = size - wordless - beyond_ascii
    return plain // BYTES_PER_TOKEN + (wordless + beyond_ascii) // DENSE_BYTES_PER_TOKEN
