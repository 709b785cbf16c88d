"""Real parts for every test: a PostgreSQL database of its own, the real model."""

import fcntl
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg2
import pytest

from app.core.database import Database
from app.core.embedded_postgres import EmbeddedPostgres
from app.core.migrations import migrate

TEMPLATE = "brag_template"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One PostgreSQL for the whole run, shared by its parallel workers."""
    shared = tmp_path_factory.getbasetemp()
    if "popen-gw" in shared.name:
        shared = shared.parent
    with EmbeddedPostgres.start(shared / "postgres") as server:
        _create_template(server, shared / "template.lock")
        yield server


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """An empty, migrated database."""
    name = f"test_{uuid.uuid4().hex}"
    _execute(postgres, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield postgres.url(name)
    _execute(postgres, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The same, opened."""
    database = Database(database_url, pool_size=4)
    yield database
    database.close()


def _create_template(server: EmbeddedPostgres, lock: Path) -> None:
    with lock.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if _execute(server, f"SELECT 1 FROM pg_database WHERE datname = '{TEMPLATE}'"):
            return
        migrate(server.url("brag_migrating"))
        _execute(server, f"ALTER DATABASE brag_migrating RENAME TO {TEMPLATE}")


def _execute(server: EmbeddedPostgres, statement: str) -> bool:
    connection = psycopg2.connect(server.url("postgres"))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return bool(cursor.rowcount > 0)
    finally:
        connection.close()
