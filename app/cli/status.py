"""`python -m app status`: what there is, what is being done, and what went wrong lately.

Of what is private to accounts, the operator is told how much there is, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.accounts.models import LOCAL_ACCOUNT
from app.cli.connection import Connection
from app.cli.database import opened_database
from app.cli.errors import RequestFailed
from app.cli.printing import printable
from app.core.database import Queries
from app.core.queue import QueueStatus, read_queue
from settings import Settings

__all__ = ["Status", "fetch_status", "print_status", "read_status"]

MAX_SOURCES = 1000
MAX_ACCOUNTS = 1000
MAX_RUNS = 20
# Of a server's sources at a time.
PAGE = 200
LATELY = timedelta(days=7)
ACTIVE = ("running", "listing", "queued")
ENDED_BADLY = ("failed", "incomplete")
PRIVATE_COUNTS = ("sources", "documents", "active", "failed")
DONE = ("unchanged", "stored", "skipped", "failed")

Row = dict[str, Any]

SOURCE_FIELDS = ("id", "name", "kind", "location", "visibility", "documents", "synced_at")
RUN_FIELDS = (
    *("id", "source_id", "location", "state", "listed", *DONE, "passages", "error"),
    *("created_at", "finished_at"),
)


@dataclass(frozen=True, slots=True)
class Status:
    """What there is, what is being done, what went wrong lately, and who works."""

    sources: list[Row]
    private: list[Row]
    active: list[Row]
    failed: list[Row]
    worker: Row


def read_status(settings: Settings) -> Status:
    """Read it from this folder's own knowledge base.

    Raises:
        StartupError, DatabaseUnavailable: there is no database that answers.
    """
    with opened_database(settings) as database:
        return database.run_sync(_read)


async def fetch_status(connection: Connection) -> Status:
    """Ask a server for it.

    Raises:
        RequestFailed: it does not tell.
    """
    sources = await connection.pages("/v1/sources", limit=PAGE)
    runs = [
        run
        for state in (*ACTIVE, *ENDED_BADLY)
        for run in await connection.get("/v1/ingestions", state=state, limit=MAX_RUNS)
    ]
    try:
        worker = (await connection.get("/readiness"))["parts"]["worker"]
    except RequestFailed as error:
        if error.status != httpx2.codes.SERVICE_UNAVAILABLE:
            raise
        worker = {"status": "unknown", "detail": "A part of the server is down: see /readiness."}
    return _status(sources, [], runs, worker)


def print_status(status: Status) -> None:
    """Print it for people."""
    # Not a terminal's: who reads it with a program wants whole lines.
    console = Console(width=None if Console().is_terminal else 200, highlight=False)
    if not status.sources and not status.private:
        console.print("There are no sources. Try: python -m app ingest PATH")
    _print(
        console,
        ("source", "location", "documents", "last synced"),
        [
            (row["kind"], _place(row), str(row["documents"]), _time(row["synced_at"]))
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
        [(_place(row), row["state"], _progress(row)) for row in status.active],
    )
    _print(
        console,
        ("failed lately", "when", "why"),
        [(_place(row), _time(row["finished_at"]), _why(row)) for row in status.failed],
    )
    console.print(printable(status.worker["detail"] or ""))


def _read(queries: Queries) -> Status:
    since = datetime.now(UTC) - LATELY
    sources = queries.list_sources(
        account_id=LOCAL_ACCOUNT, after_time=None, after_id=None, limit=MAX_SOURCES
    )
    private = queries.count_private_sources(
        account_id=LOCAL_ACCOUNT, since=since, limit=MAX_ACCOUNTS
    )
    runs = _runs(queries, (*ACTIVE, *ENDED_BADLY))
    return _status(list(sources), list(private), runs, _worker(read_queue(queries)))


def _status(
    sources: Sequence[Row], private: Sequence[Row], runs: Sequence[Row], worker: Row
) -> Status:
    since = datetime.now(UTC) - LATELY
    failed = [
        run for run in runs if run["state"] in ENDED_BADLY and _moment(run["finished_at"]) > since
    ]
    failed.sort(key=lambda run: _moment(run["finished_at"]), reverse=True)
    return Status(
        [_fields(row, SOURCE_FIELDS) for row in sources],
        list(private),
        [_fields(run, RUN_FIELDS) for run in runs if run["state"] in ACTIVE],
        [_fields(run, RUN_FIELDS) for run in failed],
        {name: worker[name] for name in ("status", "detail")},
    )


def _fields(row: Row, names: Sequence[str]) -> Row:
    return {name: row[name] for name in names}


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


def _worker(queue: QueueStatus) -> Row:
    running = sum(depth.running for depth in queue.depths)
    if queue.heartbeat_sec is None:
        return {"status": "absent", "detail": queue.describe()}
    detail = (
        f"{queue.describe()} Being done: {running}. "
        f"A worker was heard of {queue.heartbeat_sec:.0f} s ago."
    )
    return {"status": "ok", "detail": detail}


def _place(row: Row) -> str:
    # Where somebody else's shared source lies is theirs to know.
    return str(row["location"] or row.get("name") or "somebody else's")


def _moment(value: datetime | str) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _time(value: datetime | str | None) -> str:
    return "never" if value is None else f"{_moment(value).astimezone():%Y-%m-%d %H:%M}"
