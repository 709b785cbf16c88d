"""How a stored answer came about, and the same answer once more from the same passages."""

import dataclasses
import difflib
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from anyio import to_thread
from pydantic import BaseModel, Field

from app.accounts.models import Caller
from app.chat.answers import Prepared, StoredQuestion
from app.chat.exceptions import PassagesGone
from app.chat.grounding import Grounding
from app.chat.histories import read_history
from app.chat.history import pop_usage
from app.chat.models import AnswerWithSources, Source, SourceText, StoredCitation
from app.chat.past import NO_HISTORY, PackedHistory
from app.chat.preparing import prepare
from app.chat.prompts import Background, completion_messages
from app.chat.provenance import Provenance, Trace, TracedPassage, UsedPassage, text_hash
from app.chat.services import ChatService
from app.core.database import Database, Queries
from app.core.exceptions import NotFound

__all__ = ["Replay", "read_trace", "replay"]


# Comparing takes time with the square of the lines.
MAX_DIFF_LINES = 2_000


class Difference(BaseModel):
    """One thing that is not as it was."""

    what: str = Field(examples=["model"])
    before: Any = Field(examples=["offline-extractive"])
    after: Any = Field(examples=["gpt-5-mini"])


class Replay(BaseModel):
    """An answer given again, and what differs."""

    replay_of: UUID
    answer: AnswerWithSources
    same: bool = Field(description="Whether the two answers are the same, word for word.")
    differences: list[Difference] = Field(
        description="Of `model`, `prompt_hash` (the instructions or a title have changed) and "
        "`citations`."
    )
    diff: list[str] = Field(
        description="The lines that differ; none when there are thousands of lines.",
        examples=[["-Run `make start`. [1]", "+Run `make run-dev`. [1]"]],
    )


async def read_trace(database: Database, message_id: UUID, caller: Caller) -> Trace:
    """Return what an answer was made from.

    Raises:
        NotFound: the caller has no such answer.
    """
    return await database.run(_read_trace, message_id, caller.account_id)


async def replay(database: Database, chat: ChatService, message_id: UUID, caller: Caller) -> Replay:
    """Answer a question again from the passages of an earlier answer, and store that, too.

    In a chat, it comes after the same messages again, and does not become one of the chat.

    The model is the one that was asked for, if it is still allowed, else the default; it is told
    what it was told then of the one who asks.

    Raises:
        NotFound: the caller has no such answer.
        PassagesGone: a passage was changed, deleted or hidden from the caller since, or was of a
            selected text.
        MessagesGone: the messages before it in its chat are not there any more.
        UpstreamFailed, UpstreamTimedOut: the language model failed.
    """
    before = await read_trace(database, message_id, caller)
    model = chat.model_or_default(before.requested_model)
    history = NO_HISTORY
    if before.history is not None:
        history = await database.run(read_history, before.history, caller.account_id)
    answer = await chat.replay(_prepared(before, model, history, caller), caller)
    after = await read_trace(database, answer.id, caller)
    return Replay(
        replay_of=before.id,
        answer=answer,
        same=before.message == after.message,
        differences=_differences(before, after),
        diff=await to_thread.run_sync(_diff, before.message, after.message),
    )


def _read_trace(queries: Queries, message_id: UUID, account_id: UUID) -> Trace:
    row = queries.find_answer(id=message_id, account_id=account_id)
    if row is None:
        raise NotFound("There is no answer with this id.")
    if row["trace"] is None:
        raise NotFound("This answer was stored before bRAG kept what answers are made from.")
    made = Provenance.model_validate(row.pop("trace"))
    usage = pop_usage(row)
    sources = {source["number"]: Source(**source) for source in row.pop("sources")}
    places = _read_passages(queries, account_id, made)
    passages = [
        _traced(sources[used.number], used, places.get(used.number)) for used in made.passages
    ]
    citations = [
        _shifted(StoredCitation(**citation), sources, places) for citation in row.pop("citations")
    ]
    found = {"passages": passages, "citations": citations, "usage": usage}
    return Trace(**dict(made) | row | found)


def _read_passages(
    queries: Queries, account_id: UUID, made: Provenance
) -> dict[int, Mapping[str, Any]]:
    """Return those passages that still read as they did, with the places where they stand now.

    Of documents that the account may not read there are none.
    """
    hashes = {used.number: used.content_hash for used in made.passages}
    wanted = [
        {"number": used.number, "chunk_ids": [str(chunk_id) for chunk_id in used.chunk_ids]}
        for used in made.passages
        if used.chunk_ids
    ]
    if not wanted:
        return {}
    rows = queries.read_passages(account_id=account_id, passages=json.dumps(wanted))
    return {row["number"]: row for row in rows if text_hash(row["text"]) == hashes[row["number"]]}


def _traced(source: Source, used: UsedPassage, place: Mapping[str, Any] | None) -> TracedPassage:
    now = {"text": None} if place is None else {key: place[key] for key in ("text", "start", "end")}
    return TracedPassage(**dict(source) | dict(used) | now)


def _shifted(
    citation: StoredCitation, sources: Mapping[int, Source], places: Mapping[int, Mapping[str, Any]]
) -> StoredCitation:
    """Return a citation with its place in the passage where that stands now."""
    place = places.get(citation.marker)
    if place is None:
        return citation
    shift = place["start"] - sources[citation.marker].start
    start, end = citation.start + shift, citation.end + shift
    return citation.model_copy(update={"start": start, "end": end})


def _prepared(before: Trace, model: str, history: PackedHistory, caller: Caller) -> Prepared:
    background = Background(before.software_background, before.hardware_background)
    question = StoredQuestion(before.question_id, caller.account_id, before.question, background)
    if before.settings is None:
        messages = completion_messages(question.text, history=history)
        return Prepared(
            question,
            model,
            messages,
            grounding=None,
            history=before.history,
            replay_of=before.id,
        )
    if before.selected_text_hash is not None:
        raise PassagesGone("It was answered from a selected text, which is not stored: ask again.")
    gone = [passage.number for passage in before.passages if passage.text is None]
    if gone:
        raise PassagesGone(details={"passages": gone})
    grounding = Grounding(
        sources=[_source_text(passage) for passage in before.passages],
        passages=[
            UsedPassage(**{name: getattr(passage, name) for name in UsedPassage.model_fields})
            for passage in before.passages
        ],
        settings=before.settings,
        left_out=before.left_out,
        relevance=before.relevance,
        selected_text_hash=None,
        timings_ms={},
    )
    prepared = prepare(
        question,
        model,
        grounding,
        history=history,
        meant=before.query,
        replay_of=before.id,
        wishes=before.wishes,
    )
    return dataclasses.replace(prepared, history=before.history)


def _source_text(passage: TracedPassage) -> SourceText:
    return SourceText(**{name: getattr(passage, name) for name in SourceText.model_fields})


def _differences(before: Trace, after: Trace) -> list[Difference]:
    pairs = {
        "model": (before.model, after.model),
        "prompt_hash": (before.prompt_hash, after.prompt_hash),
        "citations": (_cited(before), _cited(after)),
    }
    return [
        Difference(what=what, before=old, after=new)
        for what, (old, new) in pairs.items()
        if old != new
    ]


def _cited(trace: Trace) -> list[dict[str, Any]]:
    fields = {"marker", "document_id", "start", "end", "verified", "score"}
    return [citation.model_dump(mode="json", include=fields) for citation in trace.citations]


def _diff(before: str, after: str) -> list[str]:
    old, new = before.splitlines(), after.splitlines()
    if len(old) + len(new) > MAX_DIFF_LINES:
        return []
    lines = difflib.unified_diff(old, new, n=0, lineterm="")
    return [line for line in list(lines)[2:] if not line.startswith("@@")]
