"""Reading the best candidates again, each together with the query: a cross-encoder's second look.

A vector is made of a passage before anybody asks. A cross-encoder reads query and passage at once
(Nogueira and Cho, "Passage Re-ranking with BERT", 2019, arXiv:1901.04085), which tells better what
answers the query, and costs a run of the model per passage.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import anyio
from anyio import to_thread

from app.core.exceptions import StartupError
from app.knowledge.model_sources import RERANKING, published_model
from settings.machine import usable_cores

if TYPE_CHECKING:
    from fastembed.rerank.cross_encoder import TextCrossEncoder

__all__ = ["Reranker"]


class Reranker:
    """A reranking model in memory; may be used by several queries at once.

    As with embeddings, texts go through the model one by one, as many at a time as there are
    cores: batches take nearly twice the CPU time, and a score depends on its text alone.
    """

    def __init__(self, model: "TextCrossEncoder", threads: int) -> None:
        self.model_name = model.model_name
        self._model = model
        self._limiter = anyio.CapacityLimiter(threads)

    @classmethod
    def load(cls, model_name: str, model_dir: Path, *, threads: int | None = None) -> Self:
        """Load the model that `prepare_model` has put into `model_dir`, without any network.

        `threads` is how many texts are read at a time, by default one per core.
        Raises StartupError when fastembed has no such model, or the files are not that model.
        """
        # Not at the top: fastembed takes half a second to import.
        from fastembed.rerank.cross_encoder import TextCrossEncoder  # noqa: PLC0415

        published_model(model_name, RERANKING)
        try:
            model = TextCrossEncoder(
                model_name,
                cache_dir=str(model_dir),  # never used, but by default created in /tmp
                threads=1,
                specific_model_path=str(model_dir),
                local_files_only=True,
            )
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise StartupError(
                f"The reranking model {model_name} cannot be loaded from {model_dir} ({error}):"
                " remove that folder and run `make prepare`."
            ) from error
        return cls(model, threads or usable_cores())

    async def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """Score each text by how well it answers the query, in worker threads.

        Returns the model's own scores in the order of `texts`: higher is better, most often logits;
        their scale is the model's. What query and text have beyond its limit is ignored. Whoever
        is cancelled stops after the texts that are being read.
        """
        return await asyncio.gather(
            *(to_thread.run_sync(self._score, query, text, limiter=self._limiter) for text in texts)
        )

    def _score(self, query: str, text: str) -> float:
        (score,) = self._model.rerank(query, [text])
        return score
