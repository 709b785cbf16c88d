"""A connection for commands that wait for keys: its event loop runs in a thread beside them.

So the parts of bRAG that are open here go on working while somebody thinks, and Ctrl-C reaches the
command and not a task.
"""

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from app.cli.connection import Connection, opened

__all__ = ["Session", "open_session"]

ENDING_SEC = 10
T = TypeVar("T")


class _Exit(Exception):
    """The command ends with this code."""

    def __init__(self, code: object) -> None:
        super().__init__(code)
        self.code = code


class Session:
    """A connection, and where its coroutines run."""

    def __init__(self, connection: Connection, portal: BlockingPortal) -> None:
        self.connection = connection
        self._portal = portal

    def run(self, function: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """Await a function; Ctrl-C cancels it.

        Raises:
            KeyboardInterrupt: it was cancelled, and has ended.
        """
        ended = threading.Event()

        async def awaited() -> T:
            try:
                return await function(*arguments)
            except SystemExit as error:
                # Rich raises it when nobody reads any more. It would end the loop below us.
                raise _Exit(error.code) from None
            finally:
                ended.set()

        future = self._portal.start_task_soon(awaited)
        try:
            return future.result()
        except _Exit as error:
            raise SystemExit(error.code) from None
        except KeyboardInterrupt:
            future.cancel()
            ended.wait(ENDING_SEC)
            raise


@contextmanager
def open_session(url: str | None, token: str | None) -> Iterator[Session]:
    """Connect to a server, or open the parts of one in this process.

    Raises:
        StartupError, RequestFailed: it can't be done; says what to do.
    """
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(opened(url, token)) as connection,
    ):
        yield Session(connection, portal)
