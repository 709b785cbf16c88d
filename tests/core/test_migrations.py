"""Migrations: up, down, several at once, and the dumped schema."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.embedded_postgres import EmbeddedPostgres
from app.core.exceptions import StartupError
from app.core.migrations import dbmate, dump_schema, migrate
from settings import ROOT
from tests.support import execute, fetch

MIGRATE = "import sys; from app.core.migrations import migrate; migrate(sys.argv[1])"


@pytest.fixture
def new_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database that doesn't exist yet."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgres.url(name)
    execute(postgres.url("postgres"), f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def dumped(url: str, path: Path) -> str:
    dump_schema(url, path)
    return path.read_text()


def test_the_schema_file_is_what_the_migrations_make(database_url: str, tmp_path: Path) -> None:
    assert dumped(database_url, tmp_path / "schema.sql") == (ROOT / "db/schema.sql").read_text()


def test_every_migration_can_be_taken_back(new_database_url: str, tmp_path: Path) -> None:
    migrate(new_database_url)
    migrated = dumped(new_database_url, tmp_path / "migrated.sql")
    migrations = list((ROOT / "db/migrations").glob("*.sql"))

    for _ in migrations:
        dbmate(new_database_url, "--no-dump-schema", "rollback")
    emptied = dumped(new_database_url, tmp_path / "emptied.sql")
    migrate(new_database_url)

    assert "CREATE" not in emptied.replace("CREATE TABLE public.schema_migrations", "")
    assert dumped(new_database_url, tmp_path / "again.sql") == migrated


def test_several_processes_may_migrate_at_once(new_database_url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", MIGRATE, new_database_url], cwd=ROOT)
        for _ in range(4)
    ]

    assert [process.wait(60) for process in processes] == [0] * 4
    applied = fetch(new_database_url, "SELECT version FROM schema_migrations")
    assert len(applied) == len(list((ROOT / "db/migrations").glob("*.sql")))


def test_a_database_that_cannot_be_reached_is_one_plain_sentence(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="DATABASE_URL") as error:
        migrate(f"postgres://brag:hunter2@/brag?host={tmp_path}&sslmode=disable")

    assert "hunter2" not in str(error.value)
