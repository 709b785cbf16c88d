"""A search as the API words it."""

from app.accounts.models import Caller
from app.core.exceptions import InvalidRequest
from app.knowledge.passages import RetrievedPassage
from app.knowledge.retrieval import Retriever, SearchMode
from app.knowledge.search.models import Hit, LegScore, SearchRequest, SearchResult
from app.knowledge.vector_index import EVERYTHING

__all__ = ["search"]


async def search(
    retriever: Retriever, caller: Caller, request: SearchRequest, *, max_characters: int
) -> SearchResult:
    """Return the passages that fit a query and that the caller may read, and why.

    Raises:
        InvalidRequest: the query is too long.
        IndexUnavailable, DatabaseUnavailable: a part can't be reached.
    """
    if len(request.query) > max_characters:
        raise InvalidRequest(
            f"query: must not be longer than {max_characters} characters",
            details={"characters": len(request.query)},
        )
    mode = request.mode or SearchMode.HYBRID
    where = request.filters.to_index() if request.filters else EVERYTHING
    found = await retriever.search(
        request.query, caller=caller, limit=request.top_k, mode=mode, where=where, merged=False
    )
    return SearchResult(
        query=request.query,
        mode=mode,
        hits=[_hit(rank, passage) for rank, passage in enumerate(found.passages, start=1)],
        relevance=found.relevance,
        relevant=found.relevant,
        embedding_model=found.model,
        timings_ms=found.timings,
    )


def _hit(rank: int, passage: RetrievedPassage) -> Hit:
    return Hit(
        rank=rank,
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        source_id=passage.source_id,
        source=passage.source,
        path=passage.path,
        title=passage.title,
        url=passage.url,
        updated_at=passage.updated_at,
        heading_path=list(passage.heading_path),
        start=passage.start,
        end=passage.end,
        text=passage.text,
        score=passage.score,
        fused=passage.fused,
        dense=LegScore.dense(passage.ranked),
        bm25=LegScore.bm25(passage.ranked),
    )
