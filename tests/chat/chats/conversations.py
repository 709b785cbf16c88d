"""Chats with messages that are put into PostgreSQL as asking and answering puts them there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import psycopg2.extensions

from app.accounts.models import LOCAL_ACCOUNT

__all__ = ["ALIVE_SEC", "DEAD_SEC", "Conversation", "Conversations", "open_conversations"]

ALIVE_SEC = 60
DEAD_SEC = -60


class Conversation:
    """A chat; what is said in it follows what was said last, unless it says otherwise."""

    def __init__(
        self, cursor: psycopg2.extensions.cursor, account_id: UUID, title: str = ""
    ) -> None:
        self._cursor = cursor
        self.account_id = account_id
        self.id: str = self._insert(
            "INSERT INTO chat (account_id, title) VALUES (%s, %s)", str(account_id), title
        )
        self.head: str | None = None

    @property
    def path(self) -> str:
        return f"/v1/chats/{self.id}"

    def ask(self, text: str = "A question?", *, first: bool = False, after: str = "") -> str:
        """Ask after the last message, after another one, or in place of the first one."""
        return self._show(
            "INSERT INTO message (account_id, chat_id, role, model, message, parent_id)"
            " VALUES (%s, %s, 'user', 'offline-extractive', %s, %s)",
            str(self.account_id),
            self.id,
            text,
            None if first else after or self.head,
        )

    def answer(self, text: str = "An answer.", *, to: str = "") -> str:
        """Answer the last question or another one."""
        return self._show(
            "INSERT INTO message (account_id, chat_id, role, model, message, question_id)"
            " VALUES (%s, %s, 'assistant', 'offline-extractive', %s, %s)",
            str(self.account_id),
            self.id,
            text,
            to or self.head,
        )

    def talk(self, questions: int) -> list[str]:
        """Ask so many questions and answer them; return all messages, newest first."""
        ids: list[str] = []
        for number in range(questions):
            ids = [
                self.answer(f"Answer {number}.", to=(asked := self.ask(f"Question {number}?"))),
                asked,
                *ids,
            ]
        return ids

    def generate(self, *, alive_sec: int) -> str:
        """Begin to answer the last question, in a process that is alive for so long."""
        process_id = str(uuid4())
        self._cursor.execute(
            "INSERT INTO process (id, alive_until) VALUES (%s, now() + make_interval(secs => %s))",
            (process_id, alive_sec),
        )
        return self._insert(
            "INSERT INTO generation"
            " (id, account_id, question_id, chat_id, process_id, is_resumable, model)"
            " VALUES (gen_random_uuid(), %s, %s, %s, %s, true, 'offline-extractive')",
            str(self.account_id),
            self.head,
            self.id,
            process_id,
        )

    def end(self, generation_id: str) -> None:
        """Let an answer be complete."""
        self._cursor.execute(
            "UPDATE generation SET ended_at = now() WHERE id = %s", (generation_id,)
        )

    def _show(self, statement: str, *values: object) -> str:
        self.head = self._insert(statement, *values)
        self._cursor.execute(
            "UPDATE chat SET head_id = %s, updated_at = now() WHERE id = %s", (self.head, self.id)
        )
        return self.head

    def _insert(self, statement: str, *values: object) -> str:
        self._cursor.execute(f"{statement} RETURNING CAST(id AS text)", values)
        row: Any = self._cursor.fetchone()
        new_id: str = row[0]
        return new_id


class Conversations:
    """Begins chats, of the local account unless told otherwise."""

    def __init__(self, cursor: psycopg2.extensions.cursor) -> None:
        self._cursor = cursor

    def begin(self, title: str = "", *, account_id: UUID = LOCAL_ACCOUNT) -> Conversation:
        """Begin a chat."""
        return Conversation(self._cursor, account_id, title)

    def begin_long(self, messages: int) -> Conversation:
        """Begin a chat of one branch: `Message 1`, `Message 2`, … of question and answer."""
        chat = self.begin()
        self._cursor.execute(
            """
            WITH told AS (
                SELECT number, number %% 2 = 1 AS is_question,
                    md5(%(chat)s || number)::uuid AS id,
                    CASE WHEN number > 1 THEN md5(%(chat)s || number - 1)::uuid END AS follows
                FROM generate_series(1, %(messages)s) AS number
            )
            INSERT INTO message (
                id, account_id, chat_id, role, model, message, parent_id, question_id, created_at
            )
            SELECT id, %(account)s, %(chat)s,
                CASE WHEN is_question THEN 'user' ELSE 'assistant' END, 'offline-extractive',
                'Message ' || number, CASE WHEN is_question THEN follows END,
                CASE WHEN NOT is_question THEN follows END, now() + number * interval '1 s'
            FROM told
            """,
            {"chat": chat.id, "messages": messages, "account": str(chat.account_id)},
        )
        self._cursor.execute(
            "UPDATE chat SET head_id = md5(%s || %s)::uuid WHERE id = %s RETURNING head_id::text",
            (chat.id, messages, chat.id),
        )
        [chat.head] = self._cursor.fetchone() or [None]
        return chat


@contextmanager
def open_conversations(database_url: str) -> Iterator[Conversations]:
    """Begin chats in a database."""
    connection = psycopg2.connect(database_url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield Conversations(cursor)
    finally:
        connection.close()
