"""Sessions: chats by the names that their clients have given them."""

from uuid import UUID

from app.accounts.models import Caller
from app.core.database import Database

__all__ = ["open_session"]


async def open_session(database: Database, caller: Caller, session_id: str) -> UUID:
    """Return the caller's chat of that name, which is begun when there is none."""
    chat_id: UUID = await database.run_statement(
        lambda queries: queries.open_session(account_id=caller.account_id, session_id=session_id)
    )
    return chat_id
