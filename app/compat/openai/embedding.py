"""Embeddings of the knowledge base's own model, as OpenAI's clients ask for them.

Texts are embedded one at a time, by one thread of the process for all who ask: questions are
embedded beside it, by others. Of two requests, each has its turn after a few texts.
"""

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

import anyio
import numpy as np
from anyio import to_thread

from app.accounts.models import Caller
from app.compat.openai.errors import BadRequest, ModelNotFound, TooManyEmbeddings
from app.compat.openai.requests import required_text
from app.core.text import storable
from app.knowledge.embedding import Embedder

__all__ = ["MAX_INPUTS", "Embeddings"]

# As many as OpenAI takes.
MAX_INPUTS: Final = 2_048
# So many texts take about as long as an answer's own time.
TEXTS_IN_A_TURN: Final = 4
MAX_REQUESTS: Final = 32
# Of one account: it alone must not take every place.
MAX_OWN_REQUESTS: Final = 4
KNOWN: Final = frozenset({"model", "input", "encoding_format", "dimensions", "user"})


class Embeddings:
    """Embeds texts; `embedder` returns the model of the moment."""

    def __init__(self, embedder: Callable[[], Embedder]) -> None:
        self._embedder = embedder
        self._turn = anyio.CapacityLimiter(1)
        self._requests = Counter[UUID]()

    async def create(self, fields: Mapping[str, Any], caller: Caller) -> bytes:
        """Return the vectors of a request's input, in its order, as JSON.

        Raises:
            BadRequest, ModelNotFound: it asks for what can't be done.
            TooManyEmbeddings: too many others are waiting, or requests of the same account.
        """
        embedder = self._embedder()
        texts = _read(fields, embedder)
        with self._place(caller.account_id):
            tokens = await to_thread.run_sync(embedder.count_tokens, texts, limiter=self._turn)
            _check_sizes(tokens, embedder.max_tokens)
            encode = _base64 if fields.get("encoding_format") == "base64" else _floats
            vectors: list[Any] = []
            for start in range(0, len(texts), TEXTS_IN_A_TURN):
                some = texts[start : start + TEXTS_IN_A_TURN]
                vectors += await to_thread.run_sync(
                    _embed, embedder, some, encode, limiter=self._turn
                )
            return await to_thread.run_sync(
                _encode, embedder.model_name, vectors, sum(tokens), limiter=self._turn
            )

    @contextmanager
    def _place(self, account_id: UUID) -> Iterator[None]:
        if self._requests.total() >= MAX_REQUESTS or self._requests[account_id] >= MAX_OWN_REQUESTS:
            raise TooManyEmbeddings
        self._requests[account_id] += 1
        try:
            yield
        finally:
            self._requests[account_id] -= 1
            # Counts of nothing would pile up.
            if not self._requests[account_id]:
                del self._requests[account_id]


def _embed(
    embedder: Embedder, texts: Sequence[str], encode: Callable[[np.ndarray[Any, Any]], Any]
) -> list[Any]:
    # Given several, it would take all processors.
    return [encode(embedder.embed([text])[0]) for text in texts]


def _floats(vector: np.ndarray[Any, Any]) -> list[float]:
    floats: list[float] = vector.tolist()
    return floats


def _base64(vector: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _encode(model: str, vectors: Sequence[Any], tokens: int) -> bytes:
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    body = {"object": "list", "model": model, "data": data, "usage": usage}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _read(fields: Mapping[str, Any], embedder: Embedder) -> list[str]:
    if unknown := fields.keys() - KNOWN:
        name = min(unknown)
        raise BadRequest(f"{name}: there is no such field", param=name, code="unknown_field")
    model = required_text(fields, "model")
    if model != embedder.model_name:
        raise ModelNotFound(
            f"There is no embedding model {model}. There is: {embedder.model_name}."
        )
    if fields.get("encoding_format") not in (None, "float", "base64"):
        raise BadRequest("encoding_format: must be float or base64", param="encoding_format")
    if fields.get("dimensions") not in (None, embedder.dimensions):
        raise BadRequest(
            f"dimensions: this model has {embedder.dimensions}, and no others",
            param="dimensions",
        )
    return _texts(fields.get("input"))


def _texts(given: object) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise BadRequest("input: must be a text, or a list of texts", param="input")
    if len(texts) > MAX_INPUTS:
        raise BadRequest(
            f"input: must not be more than {MAX_INPUTS:,} texts at once", param="input"
        )
    if any(isinstance(text, int | list) for text in texts):
        raise BadRequest(
            "input: must be texts, since tokens of other models mean nothing here "
            "(LangChain: check_embedding_ctx_length=False)",
            param="input",
            code="unsupported",
        )
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise BadRequest(f"input[{number}]: must be a text", param="input")
        try:
            storable(text)
        except ValueError as error:
            raise BadRequest(f"input[{number}]: {error}", param="input") from None
    return texts


def _check_sizes(tokens: Sequence[int], limit: int) -> None:
    for number, count in enumerate(tokens):
        if count > limit:
            raise BadRequest(
                f"input[{number}]: has {count:,} tokens, of which this model reads {limit:,}: "
                "cut it into shorter texts",
                param="input",
                code="context_length_exceeded",
            )
