"""Work that comes to its end, whoever is cancelled meanwhile."""

import asyncio

import pytest

from app.core.tasks import uninterrupted


class Work:
    """Work that goes on once the test lets it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.has_begun = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.is_done = False
        self._error = error

    async def do(self) -> str:
        """Do it; return "done", or raise the error."""
        self.has_begun.set()
        await self.goes_on.wait()
        self.is_done = True
        if self._error is not None:
            raise self._error
        return "done"


async def test_what_it_returns_is_returned() -> None:
    work = Work()
    work.goes_on.set()

    assert await uninterrupted(work.do()) == "done"


async def test_what_it_raises_is_raised() -> None:
    work = Work(ValueError("broken"))
    work.goes_on.set()

    with pytest.raises(ValueError, match="broken"):
        await uninterrupted(work.do())


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("error", [None, ValueError("broken")])
async def test_who_is_cancelled_waits_for_its_end_however_often(
    times: int, error: Exception | None
) -> None:
    work = Work(error)
    waiting = asyncio.create_task(uninterrupted(work.do()))
    await work.has_begun.wait()
    for _ in range(times):
        waiting.cancel()
        # It is told, and goes on.
        await asyncio.wait({waiting}, timeout=0)
    assert not waiting.done()

    work.goes_on.set()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.is_done


async def test_who_is_cancelled_before_it_begins_waits_for_its_end_too() -> None:
    work = Work()

    async def wait() -> None:
        waiting = asyncio.current_task()
        assert waiting is not None
        waiting.cancel()
        await uninterrupted(work.do())

    waiting = asyncio.create_task(wait())
    await work.has_begun.wait()
    assert not waiting.done()
    work.goes_on.set()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.is_done


async def test_a_time_limit_counts_once_the_work_is_done() -> None:
    work = Work()

    async def wait() -> None:
        async with asyncio.timeout(0):
            await uninterrupted(work.do())

    waiting = asyncio.create_task(wait())
    await work.has_begun.wait()
    work.goes_on.set()

    with pytest.raises(TimeoutError):
        await waiting
    assert work.is_done
