"""What a question is answered from: passages of the documents, or of a selected text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from anyio import to_thread

from app.accounts.models import Caller
from app.chat.budget import TokenBudget
from app.chat.models import QuestionRequest, SourceText
from app.chat.prompts import PromptPassage, render_passage
from app.chat.provenance import UsedPassage, UsedSettings, text_hash
from app.core.metrics import RELEVANCE
from app.core.stages import stage
from app.knowledge.chunking import MAX_CHARACTERS, Passage, split
from app.knowledge.embedding import Embedder
from app.knowledge.passages import RetrievedPassage
from app.knowledge.retrieval import Retriever, SearchMode
from app.knowledge.vector_index import EVERYTHING

__all__ = ["Grounder", "Grounding", "prompt_passage"]

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
        generation_timeout_sec: float,
    ) -> None:
        self._retriever = retriever
        self._budget = budget
        self._embedder = embedder
        self._top_k = top_k
        self._generation_timeout_sec = generation_timeout_sec

    async def ground(
        self, request: QuestionRequest, query: str, room: int, caller: Caller
    ) -> Grounding:
        """Find what may answer a caller's question, in `room` tokens; nothing if none is relevant.

        `query` is the question, or what it means after those before it.

        Raises:
            IndexUnavailable, DatabaseUnavailable: a part can't be reached.
        """
        if request.selected_text is None:
            return await self._search(request, query, room, caller)
        return await self._read(query, request.selected_text, room)

    async def _search(
        self, request: QuestionRequest, query: str, room: int, caller: Caller
    ) -> Grounding:
        mode = request.mode or SearchMode.HYBRID
        found = await self._retriever.search(
            query,
            caller=caller,
            limit=self._top_k,
            mode=mode,
            where=request.filters.to_index() if request.filters else EVERYTHING,
        )
        RELEVANCE.observe(found.relevance)
        relevant = found.passages if found.relevant else []
        # A passage of many chunks may be too long where its best one by itself is not.
        forms = [
            [(one, _in_prompt(_source(1, one))) for one in passage.forms] for passage in relevant
        ]
        with stage("question.pack", found.timings):
            packed = list(enumerate(await self._budget.pack(forms, room), start=1))
        return Grounding(
            sources=[_source(number, passage) for number, passage in packed],
            passages=[UsedPassage.of(number, passage) for number, passage in packed],
            settings=self._settings(mode, request, found.model),
            left_out=len(relevant) - len(packed),
            relevance=found.relevance,
            selected_text_hash=None,
            timings_ms=found.timings,
        )

    async def _read(self, question: str, text: str, room: int) -> Grounding:
        """Cut a selected text; of one that is too long, take the passages most like the question.

        They keep the order in which they stand in the text.
        """
        timings: dict[str, float] = {}
        with stage("question.selection", timings):
            sources, pieces, model = await self._select(question, text, room)
        return Grounding(
            sources=sources,
            passages=[UsedPassage.of_selection(source) for source in sources],
            settings=self._settings(None, None, model),
            left_out=pieces - len(sources),
            relevance=None,
            selected_text_hash=text_hash(text),
            timings_ms=timings,
        )

    async def _select(
        self, question: str, text: str, room: int
    ) -> tuple[list[SourceText], int, str]:
        """Return what of a text is taken, of how many pieces, and by which model."""
        embedder = self._embedder()
        pieces = await to_thread.run_sync(
            lambda: split(text, max_characters=MAX_CHARACTERS, tokens=embedder.tokens)
        )
        sources = [_selected(number, piece) for number, piece in enumerate(pieces, start=1)]
        packed = await self._pack(sources, room)
        if len(packed) < len(sources):
            texts = [piece.embedded_text for piece in pieces]
            cosines = await embedder.similarities(question, texts)
            scored = [
                source.model_copy(update={"score": cosine})
                for source, cosine in zip(sources, cosines, strict=True)
            ]
            scored.sort(key=lambda source: -(source.score or 0))
            packed = sorted(await self._pack(scored, room), key=lambda source: source.start)
        numbered = [
            source.model_copy(update={"number": number})
            for number, source in enumerate(packed, start=1)
        ]
        return numbered, len(pieces), embedder.model_name

    async def _pack(self, sources: Sequence[SourceText], room: int) -> list[SourceText]:
        return await self._budget.pack([[(one, _in_prompt(one))] for one in sources], room)

    def _settings(
        self, mode: SearchMode | None, request: QuestionRequest | None, embedding_model: str
    ) -> UsedSettings:
        return UsedSettings(
            mode=mode,
            filters=request.filters if request else None,
            top_k=self._top_k,
            embedding_model=embedding_model,
            context_tokens=self._budget.context_tokens,
            generation_timeout_sec=self._generation_timeout_sec,
        )


def prompt_passage(source: SourceText) -> PromptPassage:
    """Return a passage as prompts take it."""
    return PromptPassage(
        source.number, source.path, source.title, tuple(source.heading_path), source.text
    )


def _in_prompt(source: SourceText) -> str:
    return render_passage(prompt_passage(source))


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
