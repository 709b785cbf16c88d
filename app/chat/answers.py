"""Answers as they are stored: their citations checked against the documents, their origin kept."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from openai.types.chat import ChatCompletionMessageParam

from app.accounts.limits import Limit
from app.chat.citations import Citable, Cited
from app.chat.constants import NO_DOCUMENTS_FOUND, MessageStatus
from app.chat.exceptions import AnswerUnwanted
from app.chat.grounding import Grounding
from app.chat.models import (
    Answer,
    AnswerWithSources,
    Citation,
    SourceText,
    TokenUsage,
)
from app.chat.past import PastMessage
from app.chat.places import Place, find_places
from app.chat.prompts import NO_BACKGROUND, Background, prompt_hash
from app.chat.provenance import Provenance, TracedHistory, Wishes
from app.core.database import Queries
from app.core.idempotency import NO_CLAIM, Claim
from app.core.llm import ModelCall, Purpose, Usage

__all__ = [
    "Draft",
    "Prepared",
    "StoredAnswer",
    "StoredQuestion",
    "calls_of",
    "citable",
    "counted_calls",
    "nothing_found",
    "provenance",
    "store_answer",
    "stored_sources",
]


@dataclass(frozen=True, slots=True)
class StoredQuestion:
    """A question, whose it is, what they know, and the id that its answer will have.

    `is_open` tells that others know of the answer in the making, `is_resumable` that they can read
    it. `past` are the messages before it in its chat, oldest first; `spends` the limits that its
    tokens count for. `claim` is the request's, which a stream settles otherwise than an answer.
    """

    id: UUID
    account_id: UUID
    text: str
    background: Background
    answer_id: UUID = field(default_factory=uuid4)
    chat_id: UUID | None = None
    is_open: bool = False
    is_resumable: bool = False
    past: Sequence[PastMessage] = ()
    spends: Sequence[Limit] = ()
    claim: Claim = NO_CLAIM
    is_streamed: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A stored question with its prompt; `messages` is None when there is nothing to ask.

    `grounding` is None when the documents have nothing to do with it. `query` is what was searched
    for in place of the question.
    """

    question: StoredQuestion
    model: str
    messages: Sequence[ChatCompletionMessageParam] | None
    grounding: Grounding | None
    query: str | None = None
    history: TracedHistory | None = None
    replay_of: UUID | None = None
    # of its stages so far, in milliseconds
    timings_ms: dict[str, float] = field(default_factory=dict)
    wishes: Wishes | None = None
    # of the language model, to write the question out or to sum up what came before it
    calls: Sequence[ModelCall] = ()

    @property
    def options(self) -> dict[str, Any]:
        """Further fields of the request to the language model."""
        return self.wishes.options if self.wishes else {}

    @property
    def sources(self) -> list[SourceText]:
        """The passages in the prompt."""
        return self.grounding.sources if self.grounding else []

    @property
    def background(self) -> Background:
        """What the prompt tells of the one who asks."""
        return self.question.background if self.sources else NO_BACKGROUND


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer as it is about to be stored."""

    id: UUID
    text: str
    model: str
    status: MessageStatus
    finish_reason: str | None
    usage: Usage
    cited: Sequence[Cited] = ()


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer with what storing it has added."""

    draft: Draft
    created_at: datetime
    citations: list[Citation]
    cost: Decimal | None

    @property
    def usage(self) -> TokenUsage:
        """Tokens, as the language model counts them."""
        usage = self.draft.usage
        return TokenUsage(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost=None if self.cost is None else float(self.cost),
        )

    def with_sources(self, prepared: Prepared) -> AnswerWithSources:
        """Return it as the API words answers from documents."""
        return AnswerWithSources(
            **dict(self.to_answer()),
            status=self.draft.status,
            question_id=prepared.question.id,
            chat_id=prepared.question.chat_id,
            sources=prepared.sources,
            citations=self.citations,
            history=prepared.history,
        )

    def to_answer(self) -> Answer:
        """Return it as the API words it."""
        return Answer(
            created_at=self.created_at,
            id=self.draft.id,
            model=self.draft.model,
            message=self.draft.text,
            usage=self.usage,
        )


def nothing_found(prepared: Prepared) -> Draft:
    """Return the answer to a question for which there are no passages."""
    return Draft(
        prepared.question.answer_id,
        NO_DOCUMENTS_FOUND,
        prepared.model,
        MessageStatus.COMPLETE,
        "stop",
        Usage(0, 0, Decimal(0)),
    )


def calls_of(prepared: Prepared, draft: Draft | None) -> list[ModelCall]:
    """Return all calls of language models that an answer took."""
    calls = list(prepared.calls)
    if draft is not None and prepared.messages is not None:
        calls.append(ModelCall(prepared.model, Purpose.ANSWER, draft.usage))
    return calls


def counted_calls(calls: Sequence[ModelCall]) -> str:
    """Return calls as they are kept, as JSON."""
    return _json(
        [
            {
                "model": call.model,
                "purpose": call.purpose,
                "prompt_tokens": call.usage.prompt_tokens,
                "completion_tokens": call.usage.completion_tokens,
                "cost": None if call.usage.cost is None else str(call.usage.cost),
            }
            for call in calls
        ]
    )


def _cost(calls: Sequence[ModelCall], draft: Draft) -> Decimal | None:
    """Return what an answer has cost; None when that of one call isn't known."""
    if not calls:
        return draft.usage.cost
    costs = [call.usage.cost for call in calls]
    return None if None in costs else sum((cost for cost in costs if cost is not None), Decimal(0))


def citable(sources: Sequence[SourceText]) -> list[Citable]:
    """Return the passages as citations are checked against them."""
    return [
        Citable(
            source.number,
            source.text,
            source.start,
            " > ".join((source.title, *source.heading_path)),
        )
        for source in sources
    ]


def store_answer(queries: Queries, prepared: Prepared, draft: Draft) -> StoredAnswer:
    """Check the quotes against the documents as they are now, and store the answer with them.

    Raises:
        AnswerUnwanted: its chat or its account has been deleted.
    """
    account_id = prepared.question.account_id
    citations = _citations(queries, account_id, prepared.sources, draft.cited)
    calls = calls_of(prepared, draft)
    cost = _cost(calls, draft)
    # Texts of documents stay in their documents: what is deleted there must not live on here.
    row = queries.insert_answer(
        id=draft.id,
        account_id=account_id,
        chat_id=prepared.question.chat_id,
        question_id=prepared.question.id,
        status=draft.status.value,
        model=draft.model,
        message=draft.text,
        finish_reason=draft.finish_reason,
        prompt_tokens=draft.usage.prompt_tokens,
        completion_tokens=draft.usage.completion_tokens,
        cost=cost,
        calls=counted_calls(calls),
        sources=stored_sources(prepared),
        citations=_json(
            [citation.model_dump(mode="json", exclude={"quote"}) for citation in citations]
        ),
        trace=provenance(prepared).model_dump_json(),
    )
    if row is None:
        raise AnswerUnwanted
    return StoredAnswer(draft, row["created_at"].astimezone(UTC), citations, cost)


def stored_sources(prepared: Prepared) -> str:
    """Return the passages in the prompt as they are kept, without their texts, as JSON."""
    return _json([_stored(source) for source in prepared.sources])


def provenance(prepared: Prepared) -> Provenance:
    """Return what is kept of how an answer is made."""
    grounding = prepared.grounding
    made = Provenance(
        prompt_hash=None if prepared.messages is None else prompt_hash(prepared.messages),
        requested_model=prepared.model,
        software_background=prepared.background.software,
        hardware_background=prepared.background.hardware,
        query=prepared.query,
        history=prepared.history,
        replay_of=prepared.replay_of,
        timings_ms=prepared.timings_ms,
        wishes=prepared.wishes,
    )
    if grounding is None:
        return made
    return made.model_copy(
        update={
            "settings": grounding.settings,
            "passages": grounding.passages,
            "left_out": grounding.left_out,
            "relevance": grounding.relevance,
            "selected_text_hash": grounding.selected_text_hash,
        }
    )


def _citations(
    queries: Queries, account_id: UUID, sources: Sequence[SourceText], cited: Sequence[Cited]
) -> list[Citation]:
    by_number = {source.number: source for source in sources}
    places = find_places(queries, account_id, sources, cited)
    return [
        _citation(by_number[one.marker], one, place)
        for one, place in zip(cited, places, strict=True)
    ]


def _citation(source: SourceText, cited: Cited, place: Place | None) -> Citation:
    stands = place is not None
    return Citation(
        marker=cited.marker,
        document_id=source.document_id,
        chunk_id=place.chunk_id if place else source.chunk_id,
        source=source.source,
        path=source.path,
        title=source.title,
        url=place.url if place else source.url,
        start=cited.start,
        end=cited.end,
        quote=cited.quote if stands else None,
        verified=cited.verified and stands,
        score=cited.score,
    )


def _stored(source: SourceText) -> dict[str, Any]:
    """Return a source as it is kept; of a selected text not even its headings are."""
    kept = source.model_dump(mode="json", exclude={"text"})
    return kept if source.document_id else kept | {"heading_path": []}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
