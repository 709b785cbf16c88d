"""A real Chromium: the system's, else Playwright's own."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, async_playwright

__all__ = ["open_browser"]

NAMES = ("chromium", "chromium-browser", "google-chrome")
NO_BROWSER = (
    "There is no Chromium to drive the page with. Install one with `apt-get install chromium`, or "
    "Playwright's own with `.venv/bin/playwright install --with-deps chromium`."
)


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Start one without a window.

    Raises:
        RuntimeError: there is none; it says how to get one.
    """
    async with async_playwright() as playwright:
        found = next(filter(None, map(shutil.which, NAMES)), None)
        if not _exists(found or playwright.chromium.executable_path):
            raise RuntimeError(NO_BROWSER)
        # Chromium has no sandbox for root.
        args = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=found, args=args)
        try:
            yield browser
        finally:
            await browser.close()


def _exists(path: str) -> bool:
    return Path(path).exists()
