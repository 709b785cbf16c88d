"""What fits into the language model's context window, beside room for its answer.

Only the upstream knows its own tokenizer, so tokens are counted with the embedding model's and
never taken for fewer than a quarter of the text's bytes: a word it doesn't know is one token to it.
"""

from collections.abc import Callable, Sequence
from typing import Final

from app.chat.models import SourceText
from app.core.exceptions import InvalidRequest

__all__ = ["TokenBudget"]

BYTES_PER_TOKEN: Final = 4
# The instructions, and the words around passages and question.
INSTRUCTION_TOKENS: Final = 300
PASSAGE_TAG_TOKENS: Final = 24
# A question must leave room for one passage at least.
SMALLEST_CONTEXT_TOKENS: Final = 500
MAX_ANSWER_TOKENS: Final = 2_048

Count = Callable[[Sequence[str]], Sequence[int]]


class TokenBudget:
    """A context window of `context_tokens`, a quarter of which, 2,048 at most, is the answer's."""

    def __init__(self, context_tokens: int, count: Count) -> None:
        self._count = count
        self._context_tokens = context_tokens
        self._room = context_tokens - min(context_tokens // 4, MAX_ANSWER_TOKENS)

    def check(self, message: str) -> None:
        """Make sure that a message fits without any passage.

        Raises:
            InvalidRequest: it doesn't.
        """
        self._require(message, self._room)

    def for_passages(self, question: str) -> int:
        """Return how many tokens of passages fit beside a question.

        Raises:
            InvalidRequest: the question leaves no room for any.
        """
        room = self._room - INSTRUCTION_TOKENS
        return room - self._require(question, room - SMALLEST_CONTEXT_TOKENS)

    def pack(self, passages: Sequence[SourceText], room: int) -> list[SourceText]:
        """Return the best passages, which come first, as far as they fit into `room` tokens."""
        texts = [_prompt_text(passage) for passage in passages]
        if sum(len(text.encode()) + PASSAGE_TAG_TOKENS for text in texts) <= room:
            return list(passages)
        packed = []
        for passage, tokens in zip(passages, self._tokens(texts), strict=True):
            room -= tokens + PASSAGE_TAG_TOKENS
            if room < 0:
                break
            packed.append(passage)
        return packed

    def _require(self, message: str, room: int) -> int:
        """Return the tokens of a message, or more: those that fit anyhow are not counted."""
        size = len(message.encode())
        [tokens] = [size] if size <= room // 2 else self._tokens([message])
        if tokens > room:
            raise InvalidRequest(
                f"message: has about {tokens:,} tokens, but only {max(room, 0):,} fit into the "
                f"language model's context window of {self._context_tokens:,} (CONTEXT_TOKENS). "
                "Please shorten it.",
                details={"tokens": tokens, "limit": max(room, 0)},
            )
        return tokens

    def _tokens(self, texts: Sequence[str]) -> list[int]:
        return [
            max(tokens, len(text.encode()) // BYTES_PER_TOKEN)
            for text, tokens in zip(texts, self._count(texts), strict=True)
        ]


def _prompt_text(passage: SourceText) -> str:
    return " ".join((passage.path, passage.title, *passage.heading_path, passage.text))
