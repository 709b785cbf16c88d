"""Has every process compare its own replica of the index, which nobody else can open.

The questions and answers stand in PostgreSQL, so that processes on other machines answer as well.
"""

from uuid import UUID

from app.core.database import Queries
from app.knowledge.index_comparison import Comparison
from app.knowledge.index_source import uuid_array

__all__ = ["answer_check", "begin_checks", "end_check", "read_answers", "request_check"]


def request_check(queries: Queries) -> UUID:
    """Ask every process for a comparison; `end_check` when the answers are there."""
    check_id: UUID = queries.insert_index_check()
    return check_id


def read_answers(queries: Queries, check_id: UUID) -> dict[str, Comparison | None]:
    """Return the answers so far by replica; None while it is being compared."""
    return {
        row["replica"]: None
        if row["points"] is None
        else Comparison(
            row["points"], row["missing"], row["surplus"], row["different"], row["waiting"]
        )
        for row in queries.list_index_check_answers(check_id=check_id)
    }


def end_check(queries: Queries, check_id: UUID) -> None:
    """Forget a check and its answers."""
    queries.delete_index_check(check_id=check_id)


def begin_checks(queries: Queries, replica: str) -> list[UUID]:
    """Return the checks that this replica has yet to answer, and note that it is about to."""
    return [row["check_id"] for row in queries.begin_index_checks(replica=replica)]


def answer_check(queries: Queries, check_id: UUID, replica: str, found: Comparison) -> None:
    """Answer; if nobody is interested any more, that is no error."""
    queries.answer_index_check(
        check_id=check_id,
        replica=replica,
        points=found.points,
        missing=uuid_array(found.missing),
        surplus=uuid_array(found.surplus),
        different=uuid_array(found.different),
        waiting=found.waiting,
    )
