"""What stands beside a point's vectors, and the filters on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from app.accounts.models import Visibility

__all__ = [
    "EVERYTHING",
    "KEYWORD_FIELDS",
    "MAX_FOLDERS",
    "UPDATED_AT",
    "IndexFilter",
    "Payload",
    "payload_of",
    "readers_of",
]

Payload = dict[str, Any]

KEYWORD_FIELDS: Final = ("source_id", "document_id", "path", "reader")
UPDATED_AT: Final = "updated_at"

# Every folder above a document is a keyword of all its points. A path may be made to have hundreds,
# which would fill the index; no filter goes deeper than this.
MAX_FOLDERS: Final = 32


def payload_of(
    *,
    source_id: UUID,
    document_id: UUID,
    account_id: UUID,
    visibility: str,
    path: str,
    updated_at: datetime,
    content_hash: bytes,
) -> Payload:
    """Return what filters need, and what the point was made from.

    `account_id` and `visibility` are the source's. `content_hash` is the SHA-256 of the text that
    both vectors were made from.
    """
    shared = visibility == Visibility.SHARED
    return {
        "source_id": str(source_id),
        "document_id": str(document_id),
        "reader": Visibility.SHARED.value if shared else str(account_id),
        "path": [*_folders(path), path],
        UPDATED_AT: updated_at.astimezone(UTC).isoformat(),
        "content_hash": content_hash.hex(),
    }


def readers_of(account_id: UUID) -> tuple[str, ...]:
    """Return the values of `reader` that stand with what an account may read."""
    return str(account_id), Visibility.SHARED.value


@dataclass(frozen=True, slots=True)
class IndexFilter:
    """Which chunks a search may find: of each kind that is given, one value must fit.

    Nothing fits a value that doesn't exist. A path prefix is a document's path, or a folder: what
    is below `docs` does not include `docs-old/a.md`. `updated_from` is included, `updated_before`
    is not; both have a time zone.
    """

    source_ids: tuple[UUID, ...] = ()
    document_ids: tuple[UUID, ...] = ()
    path_prefixes: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    updated_from: datetime | None = None
    updated_before: datetime | None = None

    @property
    def keywords(self) -> dict[str, list[str]]:
        """Return the payload's fields that are restricted, each with the values that fit."""
        prefixes = [prefix.strip("/") for prefix in self.path_prefixes]
        values: dict[str, Sequence[object]] = {
            "source_id": self.source_ids,
            "document_id": self.document_ids,
            # Everything is below the root.
            "path": () if "" in prefixes else prefixes,
            "reader": self.readers,
        }
        return {field: [str(value) for value in fit] for field, fit in values.items() if fit}

    @property
    def has_period(self) -> bool:
        """Tell whether the time is restricted."""
        return self.updated_from is not None or self.updated_before is not None


EVERYTHING: Final = IndexFilter()


def _folders(path: str) -> list[str]:
    """Return the folders that a document is in, the outermost first."""
    parts = path.split("/", MAX_FOLDERS)[:-1]
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
