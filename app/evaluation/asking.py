"""The questions of a collection, searched for as users' questions are."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from app.accounts.models import LOCAL
from app.evaluation.knowledge_base import Progress
from app.knowledge.passages import RetrievedPassage
from app.knowledge.retrieval import Retriever, SearchMode

__all__ = [
    "FIRST_DEPTH",
    "RANKED_DOCUMENTS",
    "TOP",
    "Place",
    "Searched",
    "rank_documents",
    "search_all",
]

# As deep as documents are judged.
RANKED_DOCUMENTS: Final = 100
# As many passages as an answer is made from, by default.
TOP: Final = 5
# A document has many passages, of which one counts.
FIRST_DEPTH: Final = 200
MAX_DEPTH: Final = 3200


class Place(NamedTuple):
    """Characters of a document, end exclusive."""

    document: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Searched:
    """What was found, by the id of the question: documents and places best first."""

    documents: dict[str, list[str]] = field(default_factory=dict)
    places: dict[str, list[Place]] = field(default_factory=dict)
    milliseconds: dict[str, float] = field(default_factory=dict)


async def search_all(
    retriever: Retriever,
    questions: Mapping[str, str],
    mode: SearchMode,
    progress: Progress,
    *,
    rank: bool,
) -> Searched:
    """Search for each question as a user would, one after the other; `rank` documents as well."""
    searched = Searched()
    for done, (name, question) in enumerate(questions.items()):
        progress("searching", done, len(questions))
        began = time.perf_counter()
        found = await retriever.search(question, caller=LOCAL, limit=TOP, mode=mode)
        searched.milliseconds[name] = (time.perf_counter() - began) * 1000
        searched.places[name] = [Place(p.path, p.start, p.end) for p in found.passages]
        if rank:
            searched.documents[name] = await rank_documents(retriever, question, mode)
    progress("searching", len(questions), len(questions))
    return searched


async def rank_documents(retriever: Retriever, question: str, mode: SearchMode) -> list[str]:
    """Return the paths of the best documents: those with the best passages."""
    depth = FIRST_DEPTH
    while True:
        found = await retriever.search(question, caller=LOCAL, limit=depth, mode=mode)
        documents = _documents(found.passages)
        # Chunks that follow one another are one passage.
        chunks = sum(len(passage.chunk_ids) for passage in found.passages)
        if len(documents) >= RANKED_DOCUMENTS or chunks < depth or depth >= MAX_DEPTH:
            return documents[:RANKED_DOCUMENTS]
        depth *= 2


def _documents(passages: Iterable[RetrievedPassage]) -> list[str]:
    # Passages come in an order that is not monotonous, but diverse: an answer wants that.
    ranked = sorted(passages, key=lambda passage: -passage.score)
    return list(dict.fromkeys(passage.path for passage in ranked))
