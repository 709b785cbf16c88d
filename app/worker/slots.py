"""Steps in processes of their own, so that they can be killed.

A slot's child starts with its first step, is used again for the next ones, and ends after a minute
without any. It leads a process group, which is killed as a whole: what a step has started dies with
it. Children survive neither the worker, nor a Ctrl-C or SIGTERM that the worker outlives.
"""

import asyncio
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from app.core.logs import log_fields, request_id
from app.core.stages import tell
from app.worker.slot_child import HEADER, HEARD, StepError
from settings import ROOT

__all__ = ["Slots", "StepCrashed", "StepError", "StepTimedOut"]

IDLE_SEC = 60
# Not `-m`: the module would have two names, and two of each class.
CHILD = "from app.worker.slot_child import main; main()"


class StepTimedOut(Exception):
    """A step took too long and was killed; the message says how long, in plain words."""


class StepCrashed(Exception):
    """A step's process died under it."""

    def __init__(self) -> None:
        super().__init__("Its process ended unexpectedly. Perhaps memory ran out.")


class _Unheard(Exception):
    """A child had died before it got the request: that is nobody's crash."""


class Slots:
    """As many child processes as there are slots, each with an object of its own."""

    def __init__(self, count: int, make: Callable[[], object]) -> None:
        """Prepare slots; `make` builds a child's object in the child, and must be picklable."""
        self._setup = pickle.dumps(make)
        self._free = asyncio.Semaphore(count)
        # The one used last is used next, so that the others get to end.
        self._idle: list[_Child] = []

    async def run(self, method: str, *args: object, timeout_sec: float, **kwargs: object) -> Any:
        """Call a method of a child's object, once a slot is free, and return its result.

        Whatever ends the wait, a timeout, an exception or a cancellation, ends the step too.

        Raises:
            StepTimedOut: it took more than `timeout_sec` seconds.
            StepCrashed: the child died.
            Exception: what the method raised, or a `StepError` if that can't be pickled.
        """
        context = (request_id.get(), dict(log_fields.get()))
        request = pickle.dumps((method, args, kwargs, context))
        async with self._free:
            child, reply = await self._call(request, timeout_sec)
            self._put_back(child)
        succeeded, result, stages = pickle.loads(reply)  # noqa: S301 # nosec B301
        for timed in stages:
            tell(timed)
        if not succeeded:
            raise result
        return result

    async def _call(self, request: bytes, timeout_sec: float) -> "tuple[_Child, bytes]":
        while True:
            child = self._take() or _Child(self._setup)
            try:
                async with asyncio.timeout(timeout_sec):
                    return child, await child.call(request)
            except BaseException as error:
                await child.kill()
                if isinstance(error, TimeoutError):
                    raise StepTimedOut(f"It took longer than {_duration(timeout_sec)}.") from None
                if not isinstance(error, _Unheard):
                    raise

    def _take(self) -> "_Child | None":
        if not self._idle:
            return None
        child = self._idle.pop()
        if child.retirement is not None:
            child.retirement.cancel()
        return child

    def _put_back(self, child: "_Child") -> None:
        self._idle.append(child)
        loop = asyncio.get_running_loop()
        child.retirement = loop.call_later(IDLE_SEC, self._retire, child)

    def _retire(self, child: "_Child") -> None:
        self._idle.remove(child)
        child.signal_kill()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the children; call it when no step is running."""
        while (child := self._take()) is not None:
            await child.kill()


class _Child:
    """A child process, from its first call to its end."""

    def __init__(self, setup: bytes) -> None:
        self._setup = setup
        self.retirement: asyncio.TimerHandle | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline: int | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader | None = None

    async def call(self, request: bytes) -> bytes:
        """Send a request and wait for the reply."""
        is_new = self._process is None
        if is_new:
            await self._start()
        assert self._writer is not None
        assert self._reader is not None
        is_heard = False
        try:
            for message in [self._setup, request] if is_new else [request]:
                self._writer.write(HEADER.pack(len(message)) + message)
            await self._writer.drain()
            await self._reader.readexactly(len(HEARD))
            is_heard = True
            (size,) = HEADER.unpack(await self._reader.readexactly(HEADER.size))
            return await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise (StepCrashed if is_new or is_heard else _Unheard) from None

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        read_end, self._lifeline = os.pipe()
        try:
            self._reader, self._writer = await asyncio.open_connection(sock=ours)
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", CHILD),
                *(str(theirs.fileno()), str(read_end)),
                cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), read_end),
                # A group of its own to be killed, and out of reach of a terminal's Ctrl-C.
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(read_end)

    def signal_kill(self) -> None:
        """Kill the process and all that it has started; does nothing a second time."""
        if self._lifeline is None:
            return
        # Linux kills the group for this alone; other systems would wait for the GIL.
        os.close(self._lifeline)
        self._lifeline = None
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        if self._writer is not None:
            self._writer.close()

    async def kill(self) -> None:
        """Do that, and wait until the process is gone."""
        self.signal_kill()
        if self._process is not None:
            await self._process.wait()


def _duration(seconds: float) -> str:
    count, unit = (seconds / 60, "minute") if seconds >= 60 else (seconds, "second")  # noqa: PLR2004
    return f"{count:g} {unit}" + ("s" if count != 1 else "")
