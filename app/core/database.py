"""PostgreSQL through pugsql: one thread, one transaction, a plain function.

Every statement stands in a file under `db/queries/`. A function that runs inside a
transaction gets the compiled queries as its first argument and must not be async: a
transaction belongs to its thread.
"""

import asyncio
import functools
import logging
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import psycopg2
import psycopg2.extensions
import pugsql
import pugsql.compiler
from anyio import CapacityLimiter, to_thread
from sqlalchemy import create_engine, event, exc
from sqlalchemy.engine import Engine

from app.core.exceptions import DatabaseBusy, DatabaseUnavailable, Unauthorized
from settings import ROOT

__all__ = ["Database", "Listener", "PoolUse", "Queries", "StatementFailed"]

logger = logging.getLogger(__name__)

QUERIES_DIR = ROOT / "db" / "queries"
CONNECT_TIMEOUT_SEC = 5
STATEMENT_TIMEOUT_SEC = 60
LOCK_NOT_AVAILABLE = "55P03"
FOREIGN_KEY_VIOLATION = "23503"
# A peer that vanished without a word is noticed after about half a minute.
CONNECT_ARGS: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT_SEC,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "brag",
}

P = ParamSpec("P")
T = TypeVar("T")
# The statements have their names from the SQL files, so there is no type to check them against.
Queries = Any


class StatementFailed(Exception):
    """PostgreSQL refused a statement: a mistake of ours.

    Says which kind of refusal, by SQLSTATE. What PostgreSQL itself says about it quotes
    values, and those are people's texts, which belong in no log.
    """

    def __init__(self, error: exc.DBAPIError) -> None:
        cause = error.orig or error
        super().__init__(f"{type(cause).__name__}, SQLSTATE {getattr(cause, 'pgcode', None)}")


@dataclass(frozen=True, slots=True)
class PoolUse:
    """How many connections a pool may have, how many are used, and how many calls wait for one."""

    size: int
    in_use: int
    waiting: int


class Database:
    """A pool of connections and the compiled statements of `db/queries`."""

    def __init__(self, url: str, *, pool_size: int, lock_timeout_sec: float | None = None) -> None:
        """Open it; `lock_timeout_sec` is how long a statement waits for what others hold."""
        self.url = url
        self._engine = _create_engine(url, pool_size, lock_timeout_sec or 0)
        self._queries = _load_queries(self._engine)
        # As many threads as connections: a burst waits here, in order, and not in the pool.
        self._limiter = CapacityLimiter(pool_size)

    @property
    def pool(self) -> PoolUse:
        """How the pool is used just now, by callers that have an event loop."""
        used = self._limiter.statistics()
        return PoolUse(int(used.total_tokens), used.borrowed_tokens, used.tasks_waiting)

    async def run(
        self, fn: Callable[Concatenate[Queries, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `fn(queries, ...)` in a worker thread and one transaction; return its result.

        Raises:
            DatabaseUnavailable: PostgreSQL can't be reached or gave up on the statement.
            Unauthorized: the account that something was to belong to has been deleted.
            StatementFailed: PostgreSQL refused a statement.
        """
        call = functools.partial(self.run_sync, fn, *args, **kwargs)
        return await to_thread.run_sync(call, limiter=self._limiter)

    def run_sync(
        self, fn: Callable[Concatenate[Queries, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same for callers that have no event loop."""
        with _translated_errors(), self._queries.transaction():
            return fn(self._queries, *args, **kwargs)

    async def run_statement(
        self, fn: Callable[Concatenate[Queries, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same without a transaction, for a function of one statement.

        The statement commits by itself, which saves two of three round trips.
        """

        def call() -> T:
            with _translated_errors():
                return fn(self._queries, *args, **kwargs)

        return await to_thread.run_sync(call, limiter=self._limiter)

    def close(self) -> None:
        """Close every pooled connection."""
        self._engine.dispose()


class Listener:
    """A connection of its own that waits for NOTIFY on one channel.

    The awaited event is also set when the connection breaks: whoever waits then looks,
    finds the database gone or back, and opens a new listener.
    """

    def __init__(self, connection: psycopg2.extensions.connection) -> None:
        self._connection = connection
        self.notified = asyncio.Event()
        self.broken = False
        self._fileno = connection.fileno()
        asyncio.get_running_loop().add_reader(self._fileno, self._read)

    @classmethod
    async def open(cls, url: str, channel: str) -> Self:
        """Connect and LISTEN.

        Raises:
            DatabaseUnavailable: PostgreSQL can't be reached.
        """

        def connect() -> psycopg2.extensions.connection:
            with _translated_errors():
                connection: psycopg2.extensions.connection = psycopg2.connect(url, **CONNECT_ARGS)
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute(f"LISTEN {channel}")
                return connection

        return cls(await to_thread.run_sync(connect))

    def _read(self) -> None:
        try:
            self._connection.poll()
        except psycopg2.Error:
            self.broken = True
            asyncio.get_running_loop().remove_reader(self._fileno)
        self._connection.notifies.clear()
        self.notified.set()

    def close(self) -> None:
        """Stop listening."""
        if not self.broken:
            asyncio.get_running_loop().remove_reader(self._fileno)
        self._connection.close()


def _create_engine(url: str, pool_size: int, lock_timeout_sec: float) -> Engine:
    scheme, _, rest = url.partition("://")
    # dbmate and people write postgres://; SQLAlchemy wants the driver named.
    if scheme not in ("postgres", "postgresql"):
        raise ValueError(f"not a PostgreSQL URL: {scheme}://…")
    engine = create_engine(
        f"postgresql+psycopg2://{rest}",
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT_SEC,
        # They would stand in error messages, and so in logs.
        hide_parameters=True,
        connect_args=CONNECT_ARGS
        | {
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_SEC}s "
            # A process that is stopped within a transaction must not hold its locks for ever.
            f"-c idle_in_transaction_session_timeout={STATEMENT_TIMEOUT_SEC}s "
            f"-c lock_timeout={lock_timeout_sec * 1000:.0f}ms"
        },
    )
    event.listen(engine, "checkout", _replace_if_closed)
    return engine


def _replace_if_closed(connection: Any, *_: Any) -> None:
    """Have the pool open a new connection when the server has closed this one.

    A server that goes away says so or closes the socket: either way there is something to read,
    where an idle connection has nothing. Asking the kernel is 50 times as fast as a ping.
    """
    if connection.closed or select.select([connection], [], [], 0)[0]:
        raise exc.DisconnectionError


def _load_queries(engine: Engine) -> Queries:
    # One module for all domains: a transaction belongs to one module.
    first, *others = sorted(path for path in QUERIES_DIR.iterdir() if path.is_dir())
    queries = pugsql.module(str(first), encoding="utf-8")
    queries.add_queries(*map(str, others), encoding="utf-8")
    queries.setengine(engine)
    # pugsql's sessions, which are its transactions, keep the engine above.
    queries.engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    return queries


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        _log_unavailable(cause)
        if getattr(cause, "pgcode", None) == LOCK_NOT_AVAILABLE:
            raise DatabaseBusy from error
        raise DatabaseUnavailable from error
    except exc.DBAPIError as error:
        if error.connection_invalidated:
            _log_unavailable(error.orig or error)
            raise DatabaseUnavailable from error
        if _has_no_owner(error.orig):
            raise Unauthorized from None
        raise StatementFailed(error).with_traceback(error.__traceback__) from None
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        _log_unavailable(error)
        raise DatabaseUnavailable from error


def _has_no_owner(error: BaseException | None) -> bool:
    """Whether something was to belong to an account that is gone, deleted since it was asked for.

    That can happen to whatever an account adds, so each table names its constraint alike.
    """
    return (
        isinstance(error, psycopg2.Error)
        and error.pgcode == FOREIGN_KEY_VIOLATION
        and (error.diag.constraint_name or "").endswith("_account_id_fkey")
    )


def _log_unavailable(error: BaseException) -> None:
    # The SQLSTATE says what happened; the message may quote a statement with its values.
    logger.warning(
        "database unavailable",
        extra={"error": type(error).__name__, "sqlstate": getattr(error, "pgcode", None)},
    )
