"""Removes changes to the index that no follower needs any more.

An index that stands before what was removed notices (`read_changes`) and builds itself anew.
Replicas write their position down every hour at least, and a Qdrant server has it at once. So only
who was away for longer than KEEP_DAYS, or missed more than KEEP_ROWS changes and was away for
longer than KEEP_HOURS, pays with a rebuild: seconds to minutes, and then less than catching up.
"""

from typing import Final

from app.core.database import Queries

__all__ = ["SLICE", "compact"]

KEEP_DAYS: Final = 7
KEEP_ROWS: Final = 1_000_000
KEEP_HOURS: Final = 24
# About a second's work; nobody waits for these rows.
SLICE: Final = 100_000


def compact(queries: Queries) -> int:
    """Remove old changes, at most `SLICE` at once; return how many: again, until there are none."""
    database = queries.index_database()
    queries.own_index_compaction()
    queries.mark_index_compaction(
        database=database, keep_days=KEEP_DAYS, keep_hours=KEEP_HOURS, keep_rows=KEEP_ROWS
    )
    removed: int = queries.delete_old_index_changes(database=database, limit=SLICE)
    if removed == 0:
        removed = queries.delete_repeated_index_changes(keep_hours=KEEP_HOURS)
        queries.delete_old_index_checks()
    return removed
