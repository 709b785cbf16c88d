"""From a number in an answer to the words in the document that it stands for."""

import re

import pytest
from playwright.async_api import expect

from settings import Settings
from tests.conftest import Ingest
from tests.support import fetch
from tests.upstream import Upstream
from tests.web.asking import BOAT, QUESTION, begin
from tests.web.conftest import OpenSite, Site

QUOTE = "The boat to Zanzibar leaves at seven in the morning."


@pytest.fixture
async def boat_site(open_site: OpenSite, upstream_settings: Settings, ingest: Ingest) -> Site:
    """The page of a bRAG that knows of a boat, with the test's own language model."""
    await ingest({"boat.md": BOAT})
    return await open_site(upstream_settings, viewport={"width": 1280, "height": 800})


async def test_a_number_opens_the_passage_with_the_quote_marked(
    boat_site: Site, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("The boat to Zanzibar leaves at seven. [1]")
    page = boat_site.page
    answer = await begin(boat_site, QUESTION)
    number = answer.locator(".prose").get_by_role("button", name="Source 1")

    await number.focus()
    await page.keyboard.press("Enter")
    panel = page.get_by_role("dialog")
    # Two characters of UTF-16 stand before it, each: places are counted in characters.
    await expect(panel.locator("mark")).to_have_text(QUOTE)
    await expect(panel).to_contain_text("Verified")
    await page.keyboard.press("Escape")
    await expect(panel).to_be_hidden()
    await expect(number).to_be_focused()

    await answer.locator(".sources").get_by_role("button").click()
    await panel.get_by_role("link", name="Open the document").click()
    await expect(page).to_have_url(re.compile(r"#/documents/[\w-]+\?start=\d+&end=\d+&quote="))
    await expect(page.locator("main mark")).to_have_text(QUOTE)
    await expect(page.locator("main mark")).to_be_in_viewport()
    await expect(page.locator("main")).to_contain_text(BOAT.strip())


async def test_another_number_takes_the_place_of_the_passage(
    boat_site: Site, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("It leaves at seven. [1]\n\nIt returns at nine. [1]")
    page = boat_site.page
    await page.set_viewport_size({"width": 1400, "height": 800})
    answer = await begin(boat_site, QUESTION)
    first, second = [
        answer.locator(".prose").get_by_role("button", name="Source 1").nth(at) for at in (0, 1)
    ]

    await first.click()
    await expect(page.get_by_role("dialog").locator("mark").first).to_be_visible()
    await second.click()

    await expect(page.get_by_role("dialog")).to_have_count(1)
    await expect(page.locator("body")).to_have_class(re.compile("with-panel"))
    await expect(page.locator("#panel-title")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(second).to_be_focused()


async def test_what_is_not_verified_looks_and_reads_different(
    boat_site: Site, upstream: Upstream
) -> None:
    upstream.behave = upstream.answers("The boat to Zanzibar sank in 1902 with all its gold. [1]")
    page = boat_site.page

    answer = await begin(boat_site, QUESTION)

    number = answer.locator(".prose").get_by_role("button", name="not verified")
    await expect(number).to_have_css("border-style", "dotted")
    await expect(answer.locator(".sources")).to_contain_text("not verified")
    await number.click()
    panel = page.get_by_role("dialog")
    await expect(panel).to_contain_text("Not verified")
    await expect(panel.locator("mark.unverified")).to_have_css("outline-style", "dotted")


async def test_a_link_from_elsewhere_leads_to_the_words(
    boat_site: Site, settings: Settings, upstream: Upstream
) -> None:
    assert settings.database_url is not None
    rows = fetch(settings.database_url.get_secret_value(), "SELECT id FROM document")
    start = BOAT.index(QUOTE)
    page = boat_site.page

    await page.goto(
        f"{boat_site.url}/#/documents/{rows[0][0]}?start={start}&end={start + len(QUOTE)}"
    )

    await expect(page.locator("main mark")).to_have_text(QUOTE)
    await expect(page.locator("main .passage")).to_contain_text("It returns at nine.")


async def test_a_document_that_is_gone_says_so(boat_site: Site) -> None:
    boat_site.allow("404")

    await boat_site.page.goto(
        f"{boat_site.url}/#/documents/00000000-0000-0000-0000-000000000009?start=1&end=2"
    )

    await expect(boat_site.page.get_by_role("heading", name="Not found")).to_be_visible()


async def test_what_a_document_says_is_text(
    boat_site: Site, settings: Settings, ingest: Ingest
) -> None:
    hostile = "# <img src=x onerror=document.title=1>\n\n<script>document.title=1</script>\n"
    await ingest({"hostile.md": hostile})
    assert settings.database_url is not None
    rows = fetch(
        settings.database_url.get_secret_value(),
        "SELECT id FROM document WHERE path = 'hostile.md'",
    )
    page = boat_site.page

    await page.goto(f"{boat_site.url}/#/documents/{rows[0][0]}?start=0&end=40")

    await expect(page.locator("main")).to_contain_text("<script>document.title=1</script>")
    assert await page.locator("main img, main script").count() == 0
