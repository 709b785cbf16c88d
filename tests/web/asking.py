"""Asking on the page, as tests do it."""

from typing import Any

from playwright.async_api import Locator, Page, expect
from starlette.responses import Response

from tests.upstream import Pieces, Upstream
from tests.web.conftest import Site

__all__ = ["BOAT", "QUESTION", "ask", "begin", "finished", "types"]

# What tests ask about: a passage that the index finds, with characters that take two of UTF-16.
BOAT = (
    "# The boat 🚤🚤\n\n"
    "The boat to Zanzibar leaves at seven in the morning. 🐬 It returns at nine.\n"
)
QUESTION = "When does the boat to Zanzibar leave?"


def types(upstream: Upstream) -> Pieces:
    """Have answers come as they are put into what this returns."""
    pieces = Pieces()
    typing, telling = upstream.types(pieces), upstream.answers(QUESTION)

    async def behave(body: dict[str, Any]) -> Response:
        # What a follow-up is searched for is asked without a stream.
        return await (typing if body.get("stream") else telling)(body)

    upstream.behave = behave
    return pieces


async def begin(site: Site, text: str) -> Locator:
    """Ask the first question, again until the index has what was ingested; return the answer."""
    while True:
        answer = await ask(site.page, text)
        await finished(answer)
        if "No documents found" not in await answer.inner_text():
            return answer
        await site.open()


async def ask(page: Page, text: str) -> Locator:
    """Ask a question; return the answer that comes."""
    before = await page.locator("article.answer").count()
    await page.get_by_label("Your question").fill(text)
    await page.keyboard.press("Enter")
    answer = page.locator("article.answer").nth(before)
    await answer.wait_for()
    return answer


async def finished(answer: Locator) -> Locator:
    """Wait until an answer is complete."""
    await expect(answer).to_have_attribute("aria-busy", "false")
    return answer
