"""How PostgreSQL finds messages and chats where many accounts have many of them."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from app.core.database import Database
from benchmarks.crowd import crowd
from tests.chat.chats.conversations import Conversations
from tests.support import execute, fetch

GROWING = {"message", "chat", "generation", "generation_event", "idempotent_request"}
PATTERN = "%needle%"
A_MESSAGE = str(UUID(int=1))
AT = "2026-11-21 10:00:00+0"

# With `account_id`, `chat_id` and `message_id` of one of many.
HOT: dict[str, dict[str, Any]] = {
    "list_chats": {"pattern": None, "before_time": None, "before_id": None, "limit": 51},
    "list_chats, a later page": {
        "pattern": None,
        "before_time": AT,
        "before_id": str(UUID(int=0)),
        "limit": 51,
    },
    "list_chats, searched": {
        "pattern": PATTERN,
        "before_time": None,
        "before_id": None,
        "limit": 51,
    },
    "find_chat": {},
    "find_head": {},
    "find_newest_after": {},
    "list_chat_messages": {"limit": 51},
    "find_stored_message": {},
    "update_chat": {"title": "A", "head_id": None},
    "delete_chat": {},
    "list_messages": {"before_time": None, "before_id": None, "limit": 51},
    "list_messages, a later page": {
        "before_time": AT,
        "before_id": str(UUID(int=0)),
        "limit": 51,
    },
    "list_open_generations": {"process_id": A_MESSAGE},
    "lock_chat": {},
    "find_chat_message": {"id": A_MESSAGE},
    "read_branch": {"limit": 200},
    "read_events": {"id": A_MESSAGE, "after": 5, "process_id": A_MESSAGE},
    "check_generations": {"ids": f"{{{A_MESSAGE}}}"},
    "request_cancel": {"id": A_MESSAGE},
    "end_generation": {"id": A_MESSAGE},
    "find_answer_state": {"id": A_MESSAGE},
    "lock_owners_of_generation": {"id": A_MESSAGE},
    "lock_abandoned_generation": {"id": A_MESSAGE, "process_id": A_MESSAGE},
    "delete_expired_generations": {},
    "claim_request": {
        "key": "a key",
        "claim_id": A_MESSAGE,
        "process_id": A_MESSAGE,
        "request_hash": bytes(32),
        "kept_hours": 24,
    },
    "forget_generation": {"generation_id": A_MESSAGE},
}
# What deleting a chat leads to.
CASCADES = [
    ("message", "chat_id"),
    ("message", "question_id"),
    ("message", "parent_id"),
    ("generation", "chat_id"),
    ("generation", "question_id"),
    ("generation_event", "generation_id"),
]

Node = dict[str, Any]


@pytest.fixture
def crowded(database: Database) -> Database:
    """A database in which 100 accounts have 1,000 chats and 16,000 messages."""
    execute(database.url, crowd(accounts=100, chats=10, messages=16_000))
    return database


def ids(database: Database) -> dict[str, str]:
    """Return an account, its chat, and the last message of that."""
    [row] = fetch(
        database.url,
        "SELECT CAST(account_id AS text), CAST(id AS text), CAST(head_id AS text) FROM chat"
        " ORDER BY id LIMIT 1",
    )
    return dict(zip(("account_id", "chat_id", "message_id"), row, strict=True))


def explain(database: Database, statement: str, params: dict[str, Any], *options: str) -> Node:
    """Return the plan of a statement with these values."""
    explained = f"EXPLAIN ({', '.join(('FORMAT JSON', *options))}) {statement}"
    with database._engine.connect() as connection:
        [plan] = connection.execute(text(explained), params).scalar_one()
    root: Node = plan["Plan"]
    return root


def nodes(plan: Node) -> Iterator[Node]:
    """Walk through a plan."""
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def read_as_a_whole(plan: Node) -> set[str]:
    """Return the tables that a plan reads from their first to their last row."""
    return {
        node["Relation Name"]
        for node in nodes(plan)
        # Or all of one of its indexes.
        if node["Node Type"] == "Seq Scan"
        or (node["Node Type"].startswith("Index") and not node.get("Index Cond"))
        if "Relation Name" in node
    }


def rows_read(plan: Node, table: str) -> float:
    """Return how many rows of a table a plan has met."""
    met: float = sum(
        node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
        for node in nodes(plan)
        if node.get("Relation Name") == table
    )
    return met


def sql_of(database: Database, name: str) -> str:
    sql: str = getattr(database._queries, name.partition(",")[0]).sql
    return sql


def test_no_hot_statement_reads_a_growing_table_as_a_whole(crowded: Database) -> None:
    one = ids(crowded)
    sizes = {name: fetch(crowded.url, f"SELECT count(*) FROM {name}")[0][0] for name in GROWING}
    assert min(sizes.values()) >= 1_000, sizes

    whole = {
        name: read_as_a_whole(explain(crowded, sql_of(crowded, name), one | params)) & GROWING
        for name, params in HOT.items()
    }

    assert whole == {name: set() for name in HOT}


def test_what_reads_a_table_as_a_whole_is_noticed(crowded: Database) -> None:
    statements = {
        "SELECT count(*) FROM message WHERE message LIKE 'a'": {"message"},
        "SELECT * FROM chat ORDER BY account_id, updated_at DESC, id DESC LIMIT 9": {"chat"},
        "SELECT * FROM chat WHERE id IN (SELECT chat_id FROM generation)": {"chat", "generation"},
        "SELECT * FROM chat WHERE id = gen_random_uuid()": {"chat"},
        "SELECT * FROM chat WHERE id = md5('')::uuid": set(),
    }

    whole = {
        statement: read_as_a_whole(explain(crowded, statement, {})) for statement in statements
    }

    assert whole == statements


def test_a_search_reads_only_what_belongs_to_the_account(crowded: Database) -> None:
    one = ids(crowded)

    plan = explain(
        crowded, sql_of(crowded, "list_chats"), one | HOT["list_chats, searched"], "ANALYZE"
    )

    [found] = [node for node in nodes(plan) if node.get("Index Name") == "chat_newest"]
    assert "account_id" in found["Index Cond"]
    # Ten chats of 16 messages and a few more answers, of the table's 16,000.
    assert rows_read(plan, "chat") == 10
    assert 160 <= rows_read(plan, "message") <= 200


def test_what_is_deleted_with_a_chat_is_found_by_an_index(crowded: Database) -> None:
    """PostgreSQL deletes with the same statements, which it doesn't explain."""
    an_id = str(uuid4())

    whole = {
        (table, column): read_as_a_whole(
            explain(crowded, f"DELETE FROM {table} WHERE {column} = :id", {"id": an_id})
        )
        for table, column in CASCADES
    }

    assert whole == {cascade: set() for cascade in CASCADES}


@pytest.mark.parametrize("limit", [10, 51, 201])
def test_a_page_of_a_long_chat_reads_no_more_than_the_page(
    crowded: Database, conversations: Conversations, limit: int
) -> None:
    chat = conversations.begin_long(5_000)
    execute(crowded.url, "ANALYZE")
    params = {"account_id": str(chat.account_id), "chat_id": chat.id, "message_id": chat.head}

    plan = explain(
        crowded, sql_of(crowded, "list_chat_messages"), params | {"limit": limit}, "ANALYZE"
    )

    # Each as a part of the branch, as a message, and as the alternative to itself.
    assert rows_read(plan, "message") == 3 * limit
