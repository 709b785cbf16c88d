"""The view that shows why a passage was found."""

import re
from typing import Any

import httpx2
from playwright.async_api import expect

from settings import Settings
from tests.conftest import Ingest
from tests.web.browser.support import search_until_found
from tests.web.conftest import OpenSite

FILES: dict[str, str | bytes | None] = {
    "boats/island.md": "# Boats\n\n## To the island\n\nThe boat to the island leaves at nine.\n",
    "boats/coast.md": "# Coast\n\nSailing along the coast takes all day.\n",
    "trains.md": "# Trains\n\nThe train to the city leaves at ten.\n",
}
QUERY = "When does the boat leave?"


async def search(url: str, **fields: Any) -> dict[str, Any]:
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        response = await client.post("/v1/search", json={"query": QUERY, **fields})
    answer: dict[str, Any] = response.json()
    return answer


async def test_it_shows_why_a_passage_was_found(
    ingest: Ingest, open_site: OpenSite, settings: Settings
) -> None:
    await ingest(FILES)
    site = await open_site(settings, address="/#/search")
    hit = await search_until_found(site.page, QUERY, "leaves at nine")
    found = await search(site.url)
    first = found["hits"][0]

    dense, bm25 = first["dense"], first["bm25"]
    for words in (
        f"Meaning: cosine {dense['score']:.3f}, {dense['rank']}st",
        f"Words: BM25 {bm25['score']:.2f}, {bm25['rank']}st",
        f"Together: {first['fused']:.3f}",
    ):
        # Bars, with numbers for those who can't see them.
        await expect(hit.get_by_label(words)).to_be_visible()
        assert await hit.get_by_label(words).evaluate("bar => bar.tagName") == "METER"
    await expect(hit.locator("mark")).to_have_text(["Boats", "boat", "leaves"])
    await expect(hit.get_by_role("link")).to_have_attribute(
        "href", f"#/documents/{first['document_id']}?start={first['start']}&end={first['end']}"
    )
    await expect(hit.get_by_role("link")).to_have_text("Boats › To the island")
    await expect(site.page.locator(".summary")).to_contain_text(
        f"Relevance {found['relevance']:.2f}: a question would be answered"
    )


async def test_a_search_can_be_narrowed_reloaded_and_passed_on(
    ingest: Ingest, open_site: OpenSite, settings: Settings
) -> None:
    await ingest(FILES)
    site = await open_site(settings, address="/#/search")
    page = site.page
    await page.get_by_label("Below this folder").fill("boats")
    await page.get_by_label("Passages").fill("1")
    await page.get_by_label("Find by").select_option("dense")
    await search_until_found(page, QUERY, "leaves at nine")
    await expect(page).to_have_url(re.compile(r"q=When.*mode=dense&k=1&path=boats$"))

    await page.reload()

    await expect(page.locator(".hit")).to_have_count(1)
    await expect(page.locator(".hit")).to_contain_text("boats/island.md")
    await expect(page.get_by_label("Words: not asked")).to_have_count(1)
    await expect(page.get_by_label("Query")).to_have_value(QUERY)


async def test_when_nothing_is_found_that_is_said(open_site: OpenSite, settings: Settings) -> None:
    site = await open_site(settings, address="/#/search?q=unicorns")

    await expect(site.page.get_by_text("Nothing was found.")).to_be_visible()
    await expect(site.page.locator("#live")).to_have_text("0 passages found.")
