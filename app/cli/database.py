"""The database for commands without an event loop, which Ctrl-C then ends at any line."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from app.core.database import Database
from app.resources.database import own_database
from settings import Settings

__all__ = ["opened_database"]


@contextmanager
def opened_database(settings: Settings) -> Iterator[Database]:
    """Hold and open the database, migrated."""
    with (
        own_database(settings) as url,
        closing(Database(url, pool_size=settings.database_pool_size)) as database,
    ):
        yield database
