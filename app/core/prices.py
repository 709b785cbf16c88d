"""What calls of language models cost, by the prices that are configured."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Protocol

from settings import ModelPrice

__all__ = ["Prices"]

MILLION: Final = 1_000_000


class Tokens(Protocol):
    """What a call has used; None where that isn't known."""

    @property
    def prompt_tokens(self) -> int | None:
        """Of what was asked."""

    @property
    def completion_tokens(self) -> int | None:
        """Of the answer."""


class Prices:
    """Prices of models by their names, as requests name them."""

    def __init__(self, by_model: Mapping[str, ModelPrice] | None = None) -> None:
        self._by_model = by_model or {}

    @property
    def are_known(self) -> bool:
        """Whether any are."""
        return bool(self._by_model)

    def cost(self, model: str, used: Tokens) -> Decimal | None:
        """Return what a call has cost; None, and not 0, where price or tokens aren't known."""
        price = self._by_model.get(model)
        prompt, completion = used.prompt_tokens, used.completion_tokens
        if price is None or prompt is None or completion is None:
            return None
        return (prompt * price.input + completion * price.output) / MILLION
