"""Which one of several processes writes to an index that they share."""

from app.core.database import Database

__all__ = ["Leadership"]


class Leadership:
    """A lock that PostgreSQL gives to one connection at a time and frees when that ends.

    It needs a real session: a pooler in transaction mode in between would break it.
    """

    def __init__(self, database_url: str, name: str) -> None:
        self._name = name
        # One connection of its own, the same one every time as long as it lives.
        self._database = Database(database_url, pool_size=1)

    async def term(self) -> int | None:
        """Return a number that stays the same while this process leads; None: another one does.

        Raises:
            DatabaseUnavailable: nobody knows who leads, so nobody here may write.
        """
        row = await self._database.run(
            lambda queries: queries.try_index_leadership(name=self._name)
        )
        term: int | None = row["term"]
        return term

    def close(self) -> None:
        """Let another process lead."""
        self._database.close()
