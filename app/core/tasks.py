"""Work that has to come to its end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["uninterrupted"]

T = TypeVar("T")


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Await some work to its end, even when cancelled meanwhile; the cancellation comes after it.

    The work needs a time limit of its own.
    """
    task = asyncio.create_task(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        # Looked at, so that nobody complains that a failure was not.
        _ = task.cancelled() or task.exception()
        raise cancellation
    return task.result()
