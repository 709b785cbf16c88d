"""bRAG's page in a real browser; whatever goes wrong in it fails the test."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from app.accounts.sessions import COOKIE, Session
from app.main import create_app
from settings import Settings
from tests.serving import serve
from tests.web.chromium import open_browser

__all__ = ["Site"]

# This machine may be busy; nothing waits that long in vain.
WITHIN_MS = 30_000
TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


class Site:
    """A served bRAG and its page: `page` shows it, `url` is where it is.

    The test fails on any console error, page error or violated policy that `allow` does not name.
    """

    def __init__(self, url: str, context: BrowserContext, page: Page) -> None:
        self.url = url
        self.context = context
        self.page = page
        self._problems: list[str] = []
        self._allowed: list[str] = []
        self.watch(page)

    def watch(self, page: Page) -> None:
        """Note what goes wrong on a page."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._problems.append(f"page error: {error}"))

    def allow(self, pattern: str) -> None:
        """Expect an error whose text holds this: a request that is meant to fail."""
        self._allowed.append(pattern)

    async def open(self, address: str = "/") -> None:
        """Go to an address of the page, and wait until its script runs."""
        await self.page.goto(self.url + address)
        await self.page.wait_for_selector("html[data-ready]")

    def check(self) -> None:
        """Fail when something went wrong."""
        unexpected = [
            problem
            for problem in self._problems
            if not any(re.search(pattern, problem) for pattern in self._allowed)
        ]
        assert not unexpected, unexpected

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            where = message.location.get("url", "")
            self._problems.append(f"console: {message.text} {where}")


OpenSite = Callable[..., Awaitable[Site]]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A Chromium of the test's own."""
    expect.set_options(timeout=WITHIN_MS)
    async with open_browser() as browser:
        yield browser


@pytest.fixture
async def open_site(browser: Browser) -> AsyncIterator[OpenSite]:
    """`await open_site(settings)` serves bRAG with these settings and opens its page.

    `session` is who has signed in; other arguments are those of Playwright's `new_context`:
    `viewport`, `color_scheme`, `reduced_motion`...
    """
    async with AsyncExitStack() as stack:
        sites: list[Site] = []

        async def open_site(
            settings: Settings,
            *,
            address: str | None = "/",
            session: Session | None = None,
            **options: Any,
        ) -> Site:
            url = await stack.enter_async_context(serve(create_app(settings)))
            context = await browser.new_context(**options)
            stack.push_async_callback(context.close)
            context.set_default_timeout(WITHIN_MS)
            await context.add_init_script(TELL_VIOLATIONS)
            if session is not None:
                await context.add_cookies(
                    [{"name": COOKIE, "value": session.token, "url": url, "httpOnly": True}]
                )
            site = Site(url, context, await context.new_page())
            sites.append(site)
            if address is not None:
                await site.open(address)
            return site

        yield open_site
        for site in sites:
            site.check()


@pytest.fixture
async def site(open_site: OpenSite, settings: Settings) -> Site:
    """The page of a bRAG with nothing configured."""
    return await open_site(settings)
