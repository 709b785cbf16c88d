"""What a question is answered from: passages of the documents, or of a selected text."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from anyio import to_thread

from app.chat.budget import TokenBudget
from app.chat.models import QuestionRequest, SourceText
from app.chat.provenance import UsedPassage, UsedSettings, text_hash
from app.knowledge.chunking import MAX_CHARACTERS, Passage, split
from app.knowledge.embedding import Embedder
from app.knowledge.passages import RetrievedPassage
from app.knowledge.retrieval import Retriever, SearchMode
from app.knowledge.vector_index import EVERYTHING

__all__ = ["Grounder", "Grounding"]

SELECTED: Final = "Selected text"


@dataclass(frozen=True, slots=True)
class Grounding:
    """Numbered passages that fit into the prompt, best first, and how they were found."""

    sources: list[SourceText]
    passages: list[UsedPassage]
    settings: UsedSettings
    left_out: int
    relevance: float | None
    selected_text_hash: str | None
    timings_ms: dict[str, float]


class Grounder:
    """Finds passages and packs them into the context window."""

    def __init__(
        self,
        retriever: Retriever,
        budget: TokenBudget,
        embedder: Callable[[], Embedder],
        *,
        top_k: int,
        context_tokens: int,
        generation_timeout_sec: float,
    ) -> None:
        self._retriever = retriever
        self._budget = budget
        self._embedder = embedder
        self._top_k = top_k
        self._context_tokens = context_tokens
        self._generation_timeout_sec = generation_timeout_sec

    async def ground(self, request: QuestionRequest, room: int) -> Grounding:
        """Find what may answer a question, in `room` tokens; nothing if nothing is relevant.

        Raises:
            IndexUnavailable, DatabaseUnavailable: a part can't be reached.
        """
        if request.selected_text is None:
            return await self._search(request, room)
        return await self._read(request.message, request.selected_text, room)

    async def _search(self, request: QuestionRequest, room: int) -> Grounding:
        found = await self._retriever.search(
            request.message,
            limit=self._top_k,
            mode=request.mode or SearchMode.HYBRID,
            where=request.filters.to_index() if request.filters else EVERYTHING,
        )
        relevant = found.passages if found.relevant else []
        sources = [_source(number, passage) for number, passage in enumerate(relevant, start=1)]
        packed = self._budget.pack(sources, room)
        return Grounding(
            sources=packed,
            passages=[
                UsedPassage.of(number, passage)
                for number, passage in enumerate(relevant[: len(packed)], start=1)
            ],
            settings=self._settings(request.mode or SearchMode.HYBRID, request, found.model),
            left_out=len(sources) - len(packed),
            relevance=found.relevance,
            selected_text_hash=None,
            timings_ms=found.timings,
        )

    async def _read(self, question: str, text: str, room: int) -> Grounding:
        """Cut a selected text; of one that is too long, take the passages most like the question.

        They keep the order in which they stand in the text.
        """
        began = time.perf_counter()
        embedder = self._embedder()
        pieces = await to_thread.run_sync(lambda: split(text, max_characters=MAX_CHARACTERS))
        sources = [_selected(number, piece) for number, piece in enumerate(pieces, start=1)]
        if len(self._budget.pack(sources, room)) < len(sources):
            texts = [piece.embedded_text for piece in pieces]
            cosines = await embedder.similarities(question, texts)
            ranked = sorted(
                (
                    source.model_copy(update={"score": cosine})
                    for source, cosine in zip(sources, cosines, strict=True)
                ),
                key=lambda source: -(source.score or 0),
            )
            packed = sorted(self._budget.pack(ranked, room), key=lambda source: source.start)
            sources = [
                source.model_copy(update={"number": number})
                for number, source in enumerate(packed, start=1)
            ]
        return Grounding(
            sources=sources,
            passages=[UsedPassage.of_selection(source) for source in sources],
            settings=self._settings(None, None, embedder.model_name),
            left_out=len(pieces) - len(sources),
            relevance=None,
            selected_text_hash=text_hash(text),
            timings_ms={"selection": round((time.perf_counter() - began) * 1_000, 2)},
        )

    def _settings(
        self, mode: SearchMode | None, request: QuestionRequest | None, embedding_model: str
    ) -> UsedSettings:
        return UsedSettings(
            mode=mode,
            filters=request.filters if request else None,
            top_k=self._top_k,
            embedding_model=embedding_model,
            context_tokens=self._context_tokens,
            generation_timeout_sec=self._generation_timeout_sec,
        )


def _source(number: int, passage: RetrievedPassage) -> SourceText:
    return SourceText(
        number=number,
        document_id=passage.document_id,
        chunk_id=passage.chunk_id,
        source=passage.source,
        path=passage.path,
        title=passage.title,
        url=passage.url,
        heading_path=list(passage.heading_path),
        start=passage.start,
        end=passage.end,
        score=passage.score,
        text=passage.text,
    )


def _selected(number: int, passage: Passage) -> SourceText:
    return SourceText(
        number=number,
        document_id=None,
        chunk_id=None,
        path="",
        title=SELECTED,
        heading_path=list(passage.heading_path),
        start=passage.start,
        end=passage.end,
        score=None,
        text=passage.text,
    )
