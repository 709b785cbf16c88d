"""What a job finds to do: an item, with what it is to replace."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.core.database import Queries
from app.knowledge.document_store import RECIPE

__all__ = ["Work", "load_work"]


@dataclass(frozen=True, slots=True)
class Work:
    """An item, with what it replaces."""

    source_id: UUID
    kind: str
    config: dict[str, Any]
    everything: bool
    version: str
    url: str | None
    media_type: str | None
    depth: int
    document_state: dict[str, Any]
    content: bytes | None
    title: str | None
    metadata: dict[str, Any]
    stored: dict[str, Any] | None

    def is_stored(self, content_hash: bytes) -> bool:
        """Whether the document is stored with this content, cut as it would be cut now."""
        return (
            not self.everything
            and self.stored is not None
            and bytes(self.stored["content_hash"]) == content_hash
            and self.stored["recipe"] == RECIPE
        )


def load_work(queries: Queries, ingestion_id: str, path: str) -> Work | None:
    """Return what there is to do; None when that has been done, or is no longer wanted."""
    run = queries.ingestion_of(ingestion_id=ingestion_id)
    item = queries.find_item(ingestion_id=ingestion_id, path=path)
    if run is None or item is None or run["state"] != "running":
        return None
    if item["state"] not in ("pending", "fetched"):
        return None
    if run["kind"] == "upload":
        item |= queries.find_upload(source_id=run["source_id"], path=path) or {}
    content = item["content"]
    return Work(
        source_id=run["source_id"],
        kind=run["kind"],
        config=run["config"],
        everything=run["everything"],
        version=item["version"],
        url=item["url"],
        media_type=item["media_type"],
        depth=item["depth"],
        document_state=item["document_state"],
        content=None if content is None else bytes(content),
        title=item.get("title"),
        metadata=item.get("metadata", {}),
        stored=queries.find_document_version(source_id=run["source_id"], path=path),
    )
