"""Migrations at start-up: dbmate applies `db/migrations`."""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

from app.core.embedded_postgres import binary
from app.core.exceptions import StartupError
from settings import ROOT

__all__ = ["dbmate", "dump_schema", "migrate"]

logger = logging.getLogger(__name__)

TIMEOUT_SEC = 300


def migrate(url: str) -> None:
    """Bring the database to the newest schema; several processes may call it at once.

    Raises:
        StartupError: the database can't be reached, or a migration failed.
    """
    # dbmate's own lock makes the others wait until the first is done.
    up = ("--migration-lock", "--no-dump-schema", "--wait", "--wait-timeout=10s", "up")
    try:
        dbmate(url, *up)
    except StartupError as error:
        # The lock doesn't cover creating the database: who loses that race finds it there now.
        if "pg_database_datname_index" not in str(error) and "already exists" not in str(error):
            raise
        dbmate(url, *up)


def dump_schema(url: str, path: Path) -> None:
    """Write the schema of a migrated database to `path`, as `dbmate dump` does."""
    dbmate(url, f"--schema-file={path}", "dump")


def dbmate(url: str, *arguments: str) -> str:
    """Run dbmate in the repository's root and return what it printed.

    Raises:
        StartupError: dbmate is missing, failed, or did not end within its time.
    """
    program = shutil.which("dbmate", path=str(Path(sys.executable).parent)) or shutil.which(
        "dbmate"
    )
    if program is None:
        raise StartupError("dbmate is not installed. Run `make install`.")
    environment = os.environ | {
        # It holds a password: others can list arguments, but not the environment.
        "DATABASE_URL": url,
        # dbmate dumps through pg_dump, which must not be older than the server.
        "PATH": os.pathsep.join([str(binary("pg_dump").parent), os.environ.get("PATH", "")]),
    }
    try:
        result = subprocess.run(
            [program, *arguments],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SEC,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StartupError(
            f"The database migrations did not end within {TIMEOUT_SEC} s. Another process may "
            "hold a lock on the tables."
        ) from None
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        reason = lines[-1].removeprefix("Error: ") if lines else "dbmate failed"
        raise StartupError(f"The database could not be migrated ({reason}). Check DATABASE_URL.")
    return result.stdout
