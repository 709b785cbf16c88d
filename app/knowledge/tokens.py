"""Counting tokens as an embedding model sees them, without loading the model."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from tokenizers import AddedToken, Tokenizer

from app.core.exceptions import StartupError
from app.knowledge.prefixes import prefixes_of

__all__ = ["TokenCounter"]

# Where fastembed truncates for models that are a table of word vectors, whatever their files say.
STATIC_MAX_TOKENS = 512


class TokenCounter:
    """The tokenizer of an embedding model; may be called from several threads.

    It reads a model's files as fastembed does. fastembed's own reader comes with all of fastembed,
    which takes 0.4 s to import and loads onnxruntime; this takes 0.03 s.
    """

    def __init__(
        self, tokenizer: Tokenizer, max_tokens: int, *, prefix: str = "", special: bool = True
    ) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.max_tokens = max_tokens
        self._tokenizer = tokenizer
        self._prefix = prefix
        self._special = special

    @classmethod
    def load(cls, model_name: str, model_dir: Path) -> Self:
        """Load the tokenizer of a model that `prepare_model` has put into `model_dir`.

        Raises StartupError when the files are not such a tokenizer.
        """
        try:
            tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
            is_static = not any(model_dir.rglob("*.onnx"))
            if is_static:
                max_tokens = STATIC_MAX_TOKENS
            else:
                max_tokens = _limit(_read(model_dir / "tokenizer_config.json"))
                tokenizer.add_special_tokens(list(_special_tokens(model_dir)))
        except Exception as error:  # tokenizers' errors have no base of their own
            raise StartupError(
                f"The tokenizer of the embedding model {model_name} cannot be loaded from"
                f" {model_dir} ({error}): remove that folder and run `make prepare`."
            ) from error
        return cls(
            tokenizer, max_tokens, prefix=prefixes_of(model_name).passage, special=not is_static
        )

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count each passage's tokens, the model's prefix and its special tokens included.

        Nothing is cut off: a passage of more than `max_tokens` is one that the model truncates.
        """
        encodings = self._tokenizer.encode_batch_fast(
            [self._prefix + text for text in texts], add_special_tokens=self._special
        )
        return [len(encoding) for encoding in encodings]


def _limit(config: dict[str, Any]) -> int:
    # An unknown limit is written as 10³⁰.
    named = [config.get("model_max_length"), config.get("max_length")]
    limits = [limit for limit in named if isinstance(limit, int) and 0 < limit <= sys.maxsize]
    if not limits:
        raise ValueError("tokenizer_config.json does not say how many tokens it takes")
    return min(limits)


def _special_tokens(model_dir: Path) -> Iterator[str | AddedToken]:
    path = model_dir / "special_tokens_map.json"
    for value in _read(path).values() if path.exists() else ():
        for token in value if isinstance(value, list) else [value]:
            yield AddedToken(**token) if isinstance(token, dict) else token


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
