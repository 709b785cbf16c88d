"""The page's frame: its views, its size, and the errors that it shows."""

import re

import pytest
from playwright.async_api import Response, expect

from settings import Settings
from tests.web.conftest import OpenSite, Site

# What a screen reader could not name.
NAMELESS = """() => [...document.querySelectorAll("a[href], button, input, textarea, select")]
  .filter((one) => one.checkVisibility() && !(one.getAttribute("aria-label")
    || one.labels?.length || one.textContent.trim()))
  .map((one) => one.outerHTML)"""
VIEWS = {"knowledge": "Knowledge", "search": "Search", "account": "Account"}


@pytest.mark.parametrize("view", VIEWS)
async def test_every_view_is_one_click_away(site: Site, view: str) -> None:
    await site.page.get_by_role("link", name=VIEWS[view]).click()

    await expect(site.page).to_have_url(re.compile(f"#/{view}$"))
    await expect(site.page).to_have_title(re.compile(VIEWS[view]))
    await expect(site.page.locator("main h1")).to_have_count(1)
    assert await site.page.evaluate(NAMELESS) == []
    ids = await site.page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))


async def test_the_first_load_is_small(open_site: OpenSite, settings: Settings) -> None:
    site = await open_site(settings, address=None)
    answers: list[Response] = []

    def note(answer: Response) -> None:
        answers.append(answer)

    site.page.on("response", note)

    await site.page.goto(f"{site.url}/", wait_until="networkidle")

    sizes = [len(await answer.body()) for answer in answers]
    assert len(sizes) <= 8, [answer.url for answer in answers]
    assert sum(sizes) < 100_000


async def test_an_address_that_leads_nowhere_says_so(site: Site) -> None:
    await site.page.goto(f"{site.url}/#/nowhere")

    await expect(site.page.get_by_role("heading", name="Not found")).to_be_visible()


async def test_an_error_of_the_page_is_shown(site: Site) -> None:
    site.allow("kaputt")

    await site.page.evaluate("() => { setTimeout(() => { throw new Error('kaputt') }) }")
    await expect(site.page.get_by_role("alert")).to_contain_text("kaputt")
    await site.page.evaluate("() => { Promise.reject(new Error('also kaputt')) }")
    await expect(site.page.get_by_role("alert").last).to_contain_text("also kaputt")


async def test_a_narrow_screen_has_a_drawer_and_nothing_sticks_out(
    open_site: OpenSite, settings: Settings
) -> None:
    site = await open_site(settings, viewport={"width": 360, "height": 640})
    page = site.page
    knowledge = page.get_by_role("link", name="Knowledge")
    await expect(knowledge).to_be_hidden()

    await page.get_by_role("button", name="Chats and views").click()
    await expect(knowledge).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(knowledge).to_be_hidden()
    await expect(page.get_by_role("button", name="Chats and views")).to_be_focused()

    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width == 360


async def test_the_slash_key_leads_to_the_question(site: Site) -> None:
    await expect(site.page.get_by_label("Your question")).to_be_visible()
    await site.page.get_by_role("link", name="Skip to the content").focus()

    await site.page.keyboard.press("/")

    await expect(site.page.get_by_label("Your question")).to_be_focused()
    await expect(site.page.get_by_label("Your question")).to_have_value("")
