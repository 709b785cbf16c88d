"""`python -m app status`: what there is, what is being done, and what went wrong lately.

Of what is private to accounts, the operator is told how much there is, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.accounts.models import LOCAL_ACCOUNT
from app.cli.database import opened_database
from app.cli.printing import printable
from app.core.database import Queries
from app.core.queue import QueueStatus, read_queue
from settings import Settings

__all__ = ["show_status"]

MAX_SOURCES = 1000
MAX_ACCOUNTS = 1000
MAX_RUNS = 20
LATELY = timedelta(days=7)
ACTIVE = ("running", "listing", "queued")
ENDED_BADLY = ("failed", "incomplete")
PRIVATE_COUNTS = ("sources", "documents", "active", "failed")
DONE = ("unchanged", "stored", "skipped", "failed")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Status:
    sources: list[Row]
    private: list[Row]
    active: list[Row]
    failed: list[Row]
    queue: QueueStatus


def show_status(settings: Settings) -> None:
    """Print it.

    Raises:
        StartupError, DatabaseUnavailable: there is no database that answers.
    """
    with opened_database(settings) as database:
        status = database.run_sync(_read)
    # Not a terminal's: who reads it with a program wants whole lines.
    console = Console(width=None if Console().is_terminal else 200, highlight=False)
    if not status.sources and not status.private:
        console.print("There are no sources. Try: python -m app ingest PATH")
    _print(
        console,
        ("source", "location", "documents", "last synced"),
        [
            (row["kind"], row["location"], str(row["documents"]), _time(row["synced_at"]))
            for row in status.sources
        ],
    )
    _print(
        console,
        ("private to", "sources", "documents", "under way", "failed lately"),
        [(row["email"], *(str(row[name]) for name in PRIVATE_COUNTS)) for row in status.private],
    )
    _print(
        console,
        ("under way", "state", "documents"),
        [(row["location"], row["state"], _progress(row)) for row in status.active],
    )
    _print(
        console,
        ("failed lately", "when", "why"),
        [(row["location"], _time(row["finished_at"]), _why(row)) for row in status.failed],
    )
    console.print(_queue(status.queue))


def _read(queries: Queries) -> _Status:
    since = datetime.now(UTC) - LATELY
    failed = [row for row in _runs(queries, ENDED_BADLY) if row["finished_at"] > since]
    failed.sort(key=lambda row: row["finished_at"], reverse=True)
    return _Status(
        list(
            queries.list_sources(
                account_id=LOCAL_ACCOUNT, after_time=None, after_id=None, limit=MAX_SOURCES
            )
        ),
        list(
            queries.count_private_sources(account_id=LOCAL_ACCOUNT, since=since, limit=MAX_ACCOUNTS)
        ),
        _runs(queries, ACTIVE),
        failed,
        read_queue(queries),
    )


def _runs(queries: Queries, states: Sequence[str]) -> list[Row]:
    return [
        row
        for state in states
        for row in queries.list_ingestions(
            account_id=LOCAL_ACCOUNT,
            source_id=None,
            state=state,
            before_time=None,
            before_id=None,
            limit=MAX_RUNS,
        )
    ]


def _print(console: Console, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        return
    table = Table(*names, box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)
    console.print()


def _progress(run: Row) -> str:
    return f"{sum(run[name] for name in DONE)} of {run['listed']}" if run["listed"] else ""


def _why(run: Row) -> str:
    return run["error"] or f"{run['failed']} of {run['listed']} documents failed"


def _queue(queue: QueueStatus) -> str:
    running = sum(depth.running for depth in queue.depths)
    if queue.heartbeat_sec is None:
        return queue.describe()
    return (
        f"{queue.describe()} Being done: {running}. "
        f"A worker was heard of {queue.heartbeat_sec:.0f} s ago."
    )


def _time(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M}"
