"""Pictures of the page for the documentation: `make screenshots` writes them to docs/images."""

import asyncio
import re
import tempfile
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, FilePayload, Page

from benchmarks.environment import Environment
from benchmarks.page import open_docs
from settings import ROOT
from tests.web.chromium import open_browser

FOLDER: Final = ROOT / "docs" / "images"
WIDE: Final[dict[str, Any]] = {"viewport": {"width": 1220, "height": 690}}
TALL: Final[dict[str, Any]] = {"viewport": {"width": 1220, "height": 900}}
DONE_MS: Final = 300_000
PHONE: Final[dict[str, Any]] = {
    "viewport": {"width": 360, "height": 720},
    "device_scale_factor": 1.5,
    "has_touch": True,
    "is_mobile": True,
}
QUESTIONS: Final = (
    "How are citations checked?",
    "How do I keep a site in sync?",
    "How do I use my own PostgreSQL?",
)


async def main() -> None:
    """Take all pictures of a bRAG that knows its own documents."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_docs(Environment(Path(folder))) as url, open_browser() as browser:
            for question in QUESTIONS:
                tab = await _answered(browser, url, question, WIDE)
                await tab.context.close()
            await _take(browser, url, "page-light", WIDE)
            await _take(browser, url, "page-dark", WIDE | {"color_scheme": "dark"})
            await _take(browser, url, "page-phone", PHONE, opens=False)
    with tempfile.TemporaryDirectory() as folder:
        async with Environment(Path(folder)).server() as url, open_browser() as browser:
            await _take_views(browser, url)


async def _take(
    browser: Browser, url: str, name: str, options: dict[str, Any], *, opens: bool = True
) -> None:
    tab = await _open(browser, url, options)
    address = await tab.locator("#chats li a").first.get_attribute("href")
    await tab.goto(f"{url}/{address}")
    await tab.locator("article.answer .tools button").first.wait_for(state="visible")
    if opens:
        await tab.locator(".prose .cite").first.click()
        await tab.locator("dialog mark").first.wait_for()
    await tab.wait_for_timeout(800)
    await tab.locator("main").evaluate("main => main.scrollTop = 0")
    await tab.screenshot(path=FOLDER / f"{name}.png")
    await tab.context.close()


async def _take_views(browser: Browser, url: str) -> None:
    """Upload the documents to a bRAG that knows none, watch that, and search."""
    tab = await _open(browser, f"{url}/#/knowledge", TALL)
    damaged = FilePayload(name="scan.pdf", mimeType="application/pdf", buffer=b"%PDF-1.7 nothing")
    await tab.get_by_label("Choose files").set_input_files(damaged)
    await tab.get_by_text("1 file skipped").click()
    await tab.get_by_label("Choose a folder").set_input_files(ROOT / "docs")
    await tab.get_by_text(re.compile("^[1-9][0-9] of .* left")).wait_for(timeout=DONE_MS)
    await tab.screenshot(path=FOLDER / "page-knowledge.png")
    await tab.get_by_text(re.compile("[0-9]+ stored")).wait_for(timeout=DONE_MS)
    await tab.goto(f"{url}/#/search?q=How+are+citations+checked%3F&k=3")
    await tab.locator(".hit").first.wait_for()
    await tab.wait_for_timeout(800)
    await tab.screenshot(path=FOLDER / "page-search.png")
    await tab.context.close()


async def _answered(browser: Browser, url: str, question: str, options: dict[str, Any]) -> Page:
    tab = await _open(browser, url, options)
    await tab.get_by_label("Your question").fill(question)
    await tab.keyboard.press("Enter")
    await tab.locator("article.answer[aria-busy=false] .tools button").first.wait_for()
    return tab


async def _open(browser: Browser, url: str, options: dict[str, Any]) -> Page:
    context = await browser.new_context(**options)
    tab = await context.new_page()
    await tab.goto(url)
    await tab.wait_for_selector("html[data-ready]")
    await tab.locator("#chats li, #chats .hint").first.wait_for(state="attached")
    return tab


if __name__ == "__main__":
    asyncio.run(main())
