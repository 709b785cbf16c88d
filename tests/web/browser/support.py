"""What tests of the page's views share: a worker in a hurry, dropped files, people."""

import asyncio
import dataclasses
import functools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from playwright.async_api import Locator, Page

from app.core.database import Database
from app.knowledge.ingestions.steps import open_steps
from app.worker.engine import Concurrency, run_worker
from settings import Settings
from tests.knowledge.ingestions.hurried import HURRY
from tests.support import eventually

__all__ = ["drop", "hurried_worker", "part", "search_until_found", "width_of"]

# The browser's own object; strings become files.
DROP = """([selector, files]) => {
  const transfer = new DataTransfer();
  for (const [name, text] of Object.entries(files)) transfer.items.add(new File([text], name));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.querySelector(selector).dispatchEvent(
      new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }
}"""


@asynccontextmanager
async def hurried_worker(settings: Settings, database: Database) -> AsyncIterator[None]:
    """A worker that tries again at once what failed."""
    stop = asyncio.Event()
    worker = run_worker(
        database,
        functools.partial(open_steps, settings, database.url),
        stop,
        concurrency=Concurrency(list=1, document=1),
        timing=dataclasses.replace(HURRY, first_retry=0.02, stalled=30),
    )
    task = asyncio.create_task(worker)
    try:
        yield
    finally:
        stop.set()
        await task


async def drop(page: Page, files: Mapping[str, str], onto: str = ".drop") -> None:
    """Drop files on a part of the page."""
    await page.wait_for_selector(onto)
    await page.evaluate(DROP, [onto, dict(files)])


def part(page: Page, name: str) -> Locator:
    """A part of a view by its name."""
    return page.get_by_role("region", name=name, exact=True)


async def search_until_found(page: Page, query: str, text: str) -> Locator:
    """Search by the page until a passage is found, which an index may take a while for."""
    hit = page.locator(".hit").filter(has_text=text)

    async def is_found() -> bool:
        await page.get_by_label("Query").fill(query)
        async with page.expect_response("**/v1/search"):
            await page.keyboard.press("Enter")
        await page.wait_for_selector(".found:not([aria-busy])")
        return await hit.count() > 0

    await eventually(is_found, within=30)
    return hit.first


async def width_of(page: Page) -> int:
    """How wide the page is with all that sticks out of it."""
    widths: list[int] = await page.evaluate(
        "() => [document.documentElement, document.querySelector('main')].map(e => e.scrollWidth)"
    )
    return max(widths)
