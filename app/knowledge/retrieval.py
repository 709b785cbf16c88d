"""From a question to the passages that may answer it."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

import numpy as np

from app.accounts.models import Caller
from app.core.database import Database
from app.core.stages import stage
from app.knowledge.embedding import Embedder
from app.knowledge.index_payload import readers_of
from app.knowledge.models import embedded_text
from app.knowledge.passages import (
    Candidate,
    RetrievedPassage,
    load_candidates,
    merged_passages,
)
from app.knowledge.ranking import diversify, fuse
from app.knowledge.relevance import FLOOR, PASSAGES_READ, Signals, measure, relevance
from app.knowledge.reranking import Reranker
from app.knowledge.sparse import SparseEncoder
from app.knowledge.vector_index import EVERYTHING, IndexFilter, Legs, VectorIndex

__all__ = ["Found", "Retriever", "SearchMode"]

# Passages are chosen from so many candidates.
CANDIDATES: Final = 50
# So many chunks each of the two searches gives; more than the candidates, since the two overlap,
# and since what was deleted a moment ago is dropped.
LEG_LIMIT: Final = 100
# So many of the candidates a cross-encoder reads: 25 ms each.
RERANKED: Final = 30


class SearchMode(StrEnum):
    """How passages are found."""

    HYBRID = "hybrid"
    DENSE = "dense"
    BM25 = "bm25"


@dataclass(frozen=True, slots=True)
class Found:
    """Passages, best first, and how they were found; timings in milliseconds."""

    passages: list[RetrievedPassage]
    signals: Signals
    model: str
    timings: dict[str, float]

    @property
    def relevance(self) -> float:
        """How likely the passages answer the query, from 0 to 1."""
        return relevance(self.signals) if self.passages else 0.0

    @property
    def relevant(self) -> bool:
        """Whether it is worth answering from them."""
        return self.relevance >= FLOOR


@dataclass(slots=True, eq=False)
class _Model:
    """A model with an index of its vectors, and how many searches use them just now."""

    embedder: Embedder
    index: VectorIndex
    searches: int = 0
    unused: asyncio.Event = field(default_factory=asyncio.Event)


class Retriever:
    """Hybrid search: dense and BM25 from Qdrant, fused and made diverse, texts from PostgreSQL."""

    def __init__(
        self,
        database: Database,
        index: VectorIndex,
        embedder: Embedder,
        sparse: SparseEncoder,
        *,
        by_reader: bool,
        reranker: Reranker | None = None,
        diverse: bool = True,
    ) -> None:
        self._database = database
        self._model = _Model(embedder, index)
        self._sparse = sparse
        # Where everything is one account's, asking the index for what it may read only costs time.
        self._by_reader = by_reader
        self._reranker = reranker
        self._diverse = diverse

    async def replace(self, embedder: Embedder, index: VectorIndex) -> None:
        """Search with another model from now on; return when no search with the old one runs."""
        old, self._model = self._model, _Model(embedder, index)
        if old.searches:
            old.unused.clear()
            await old.unused.wait()

    async def search(
        self,
        query: str,
        *,
        caller: Caller,
        limit: int,
        mode: SearchMode = SearchMode.HYBRID,
        where: IndexFilter = EVERYTHING,
        merged: bool = True,
    ) -> Found:
        """Return at most `limit` passages that the caller may read, best first.

        Not `merged`, each is a chunk as it was found; there are `limit` if there are so many.

        Raises:
            IndexUnavailable, DatabaseUnavailable: a part can't be reached.
        """
        timings: dict[str, float] = {}
        account_id = caller.account_id
        if self._by_reader:
            where = replace(where, readers=readers_of(account_id))
        # One model from the beginning to the end, whatever replaces it meanwhile.
        model = self._model
        model.searches += 1
        try:
            dense = None
            if mode is not SearchMode.BM25:
                with stage("question.embed", timings):
                    dense = (await model.embedder.embed_query(query)).tolist()
            sparse = None if mode is SearchMode.DENSE else self._sparse.encode_query(query)
            with stage("question.index", timings):
                legs = await model.index.search(
                    dense, sparse, limit=max(LEG_LIMIT, 2 * limit), where=where
                )
        finally:
            model.searches -= 1
            if not model.searches:
                model.unused.set()
        ranked = fuse(legs)[: max(CANDIDATES, 2 * limit)]
        candidates: list[Candidate] = []
        if ranked:
            with stage("question.passages", timings):
                candidates = await self._database.run_statement(
                    load_candidates,
                    account_id,
                    ranked,
                    model.embedder.model_name,
                    model.embedder.dimensions,
                )
        with stage("question.relevance", timings):
            signals = self._measure(query, legs, candidates)
        if self._reranker is not None and candidates:
            with stage("question.rerank", timings):
                candidates = await _rerank(self._reranker, query, candidates)
        with stage("question.choose", timings):
            if merged:
                # Some become one passage: the next ones fill what that leaves free.
                chosen = self._choose(candidates, 2 * limit)
                passages = await merged_passages(self._database, account_id, chosen, limit)
            else:
                passages = self._choose(candidates, limit)
        return Found(passages, signals, model.embedder.model_name, timings)

    def _measure(self, query: str, legs: Legs, candidates: Sequence[Candidate]) -> Signals:
        read = [candidate.passage for candidate in candidates[:PASSAGES_READ]]
        texts = [embedded_text(passage.heading_path, passage.text) for passage in read]
        return measure(query, legs, [passage.ranked for passage in read], texts, self._sparse)

    def _choose(self, candidates: Sequence[Candidate], limit: int) -> list[RetrievedPassage]:
        if not (self._diverse and candidates):
            return [candidate.passage for candidate in candidates[:limit]]
        chosen = diversify(
            [candidate.passage.ranked for candidate in candidates],
            np.array([candidate.vector for candidate in candidates]),
            [candidate.passage.document_id for candidate in candidates],
            limit=limit,
        )
        return [candidates[index].passage for index in chosen]


async def _rerank(
    reranker: Reranker, query: str, candidates: Sequence[Candidate]
) -> list[Candidate]:
    """Order the best candidates by a cross-encoder; the others follow as they were."""
    read, others = candidates[:RERANKED], candidates[RERANKED:]
    texts = [embedded_text(c.passage.heading_path, c.passage.text) for c in read]
    # Such models say logits; choosing weighs scores from 0 to 1 against each other.
    logits = await reranker.rerank(query, texts)
    scores = [0.5 * (1 + math.tanh(logit / 2)) for logit in logits]
    scores += [min(scores) * candidate.passage.fused for candidate in others]
    rescored = [
        replace(c, passage=replace(c.passage, ranked=c.passage.ranked._replace(score=score)))
        for c, score in zip(candidates, scores, strict=True)
    ]
    return sorted(rescored, key=lambda candidate: -candidate.passage.score)
