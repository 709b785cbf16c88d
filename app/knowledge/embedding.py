"""Texts to vectors: fastembed around a prepared model."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self

import anyio
import numpy as np
from anyio import to_thread
from numpy.typing import NDArray

from app.core.exceptions import StartupError
from app.knowledge.prefixes import prefixes_of
from app.knowledge.tokens import TokenCounter
from settings.machine import usable_cores

if TYPE_CHECKING:
    from fastembed import TextEmbedding
    from fastembed.common.types import NumpyArray

__all__ = ["Embedder"]

Vector = NDArray[np.float32]


class Embedder:
    """An embedding model in memory; all methods may be called from several threads.

    Texts go through the model one by one, each on one core, as many at a time as there are cores.
    On CPUs this is faster than any batch (there is no padding to compute and the activations stay
    in the cache), and it makes a vector depend on its text alone: the int8 model scales its
    activations over the whole input, so in a batch every text would change its neighbours.
    """

    def __init__(self, model: "TextEmbedding", tokens: TokenCounter, threads: int) -> None:
        self.model_name = model.model_name
        self.dimensions = model.embedding_size
        self.tokens = tokens
        self.max_tokens = tokens.max_tokens
        self._model = model
        self._prefixes = prefixes_of(model.model_name)
        self._threads = threads
        self._query_limiter = anyio.CapacityLimiter(threads)

    @classmethod
    def load(cls, model_name: str, model_dir: Path, *, threads: int | None = None) -> Self:
        """Load the model that `prepare_model` has put into `model_dir`, without any network.

        `threads` is how many texts are embedded at a time, by default one per core.
        Raises StartupError when the files are not such a model.
        """
        # Not at the top: fastembed takes a second to import, which not every command needs.
        from fastembed import TextEmbedding  # noqa: PLC0415

        try:
            model = TextEmbedding(
                model_name,
                cache_dir=str(model_dir),  # never used, but by default created in /tmp
                threads=1,
                specific_model_path=str(model_dir),
                local_files_only=True,
            )
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise StartupError(
                f"The embedding model {model_name} cannot be loaded from {model_dir} ({error}):"
                " remove that folder and run `make prepare`."
            ) from error
        tokens = TokenCounter.load(model_name, model_dir)
        return cls(model, tokens, threads or usable_cores())

    def embed(self, texts: Sequence[str]) -> Vector:
        """Embed passages; blocks.

        Returns float32 of (len(texts), dimensions), L2-normalised, in the order of `texts`.
        What a text has beyond `max_tokens`, as `count_tokens` counts them, is ignored.
        """
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        if len(texts) == 1:
            vectors[0] = self._embed_passage(texts[0])
        elif texts:
            with ThreadPoolExecutor(min(self._threads, len(texts)), "embed") as pool:
                for row, vector in enumerate(pool.map(self._embed_passage, texts)):
                    vectors[row] = vector
        return vectors

    async def embed_query(self, text: str) -> Vector:
        """Embed a query in a worker thread; returns float32 of (dimensions,), L2-normalised."""
        return await to_thread.run_sync(self._embed_query, text, limiter=self._query_limiter)

    async def similarities(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return the cosine of a query with each of some short texts."""
        vectors = await to_thread.run_sync(self.embed, texts, limiter=self._query_limiter)
        cosines: list[float] = (vectors @ await self.embed_query(query)).tolist()
        return cosines

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count each passage's tokens as the model sees them."""
        return self.tokens.count(texts)

    def _embed_passage(self, text: str) -> Vector:
        return _unit(self._model.passage_embed([self._prefixes.passage + text]))

    def _embed_query(self, text: str) -> Vector:
        return _unit(self._model.query_embed(self._prefixes.query + text))


def _unit(vectors: "Iterable[NumpyArray]") -> Vector:
    """Normalise the only vector of `vectors`: fastembed does so for most models, not for all."""
    (vector,) = vectors
    vector = np.asarray(vector, dtype=np.float32)
    norm = np.linalg.norm(vector)
    return vector / norm if norm else vector
