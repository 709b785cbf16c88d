"""What a source lists, and what it gives for one of its documents."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.knowledge.files import Skipped

__all__ = ["Content", "Entry", "Fetched", "Gone", "Listing", "NotModified", "Snapshot"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A document that a source lists."""

    # Unique in its source, with `/` and without a leading one; no NUL, valid Unicode.
    path: str
    # Another one whenever the content is another: the id of a blob, a hash. Empty: unknown.
    version: str = ""
    # Where a reader finds exactly this version.
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything that a source has."""

    entries: list[Entry]
    # What it has and can't be used, with the reason in plain words.
    skipped: list[Skipped] = field(default_factory=list)
    # What the next listing wants to know, in JSON: a commit, an ETag.
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Content:
    """A document's bytes, with what is known of their kind without looking: a media type."""

    data: bytes
    media_type: str | None = None


class Snapshot(Protocol):
    """A listing whose contents are at hand while it is open."""

    @property
    def listing(self) -> Listing | None:
        """What there is; None when nothing has changed since `state`."""
        ...

    def read(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Content | Skipped]]:
        """Yield the contents of entries, one at a time, in their order."""
        ...


OpenSnapshot = AbstractContextManager[Snapshot]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document that was fetched on its own."""

    content: Content
    version: str
    url: str | None = None
    # What the next fetch wants to know, in JSON: an ETag, the links of a page.
    state: dict[str, Any] = field(default_factory=dict)
    # Further documents of the same source that this one names.
    links: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class NotModified:
    """The document is as it was."""

    links: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Gone:
    """The document is no longer there, or is not to be taken in: why, in plain words."""

    reason: str
    # The document of the same source that stands for this one.
    moved_to: Entry | None = None
    links: list[Entry] = field(default_factory=list)
