"""What the doctor finds."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from app.core.database import Database, Queries
from app.knowledge.index_comparison import Comparison, slices
from app.knowledge.index_source import MAX_LAG, uuid_array

__all__ = [
    "Examination",
    "Finding",
    "Mend",
    "Severity",
    "Stage",
    "describe_points",
    "differences",
    "queue_chunks",
]

# Hears the name of what is being done, how much of it is done, and of how much.
Stage = Callable[[str, int, int], None]
Mend = Callable[[Stage], Awaitable[None]]


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"  # answers may be wrong or incomplete
    UNCHECKED = "unchecked"  # nobody knows
    NOTE = "note"  # nothing is wrong


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, in plain words."""

    severity: Severity
    message: str
    # What `repair` does about it; None: it can't do anything.
    repair: str | None = None
    mend: Mend | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        """Say it in a line, and in another one what can be done."""
        advice = f"\n{'':9} --repair would {self.repair}." if self.repair else ""
        return f"{self.severity:9} {self.message}{advice}"


@dataclass(slots=True)
class Examination:
    """What was looked at, a line for each, and what was found."""

    lines: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: "Examination") -> None:
        """Take over what another one found."""
        self.lines += other.lines
        self.findings += other.findings


def describe_points(name: str, found: Comparison) -> str:
    """Say what an index holds, in a line."""
    if not found.waiting:
        return f"{name}: {found.points:,} points, up to date"
    more = "or more " if found.waiting == MAX_LAG else ""
    return f"{name}: {found.points:,} points, {found.waiting:,} {more}changes behind"


def differences(name: str, found: Comparison, mend: Mend) -> list[Finding]:
    """Say in which chunks an index differs from PostgreSQL, if it does."""
    kinds = [
        (found.missing, "missing"),
        (found.surplus, "there that should not be"),
        (found.different, "made from something else"),
    ]
    parts = [f"{len(ids):,} {words}" for ids, words in kinds if ids]
    if not parts:
        return []
    message = f"{name} differs from PostgreSQL: {', '.join(parts)} (points for chunks)."
    return [Finding(Severity.ERROR, message, "write these points anew", mend)]


async def queue_chunks(database: Database, ids: Sequence[UUID]) -> None:
    """Have every index look at these chunks again, as if they had just changed."""
    for part in slices(ids):
        await database.run(_queue, part)


def _queue(queries: Queries, ids: Sequence[UUID]) -> None:
    queries.queue_chunks(ids=uuid_array(ids))
