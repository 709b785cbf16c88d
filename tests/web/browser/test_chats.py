"""The side list of chats."""

from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from settings import Settings
from tests.chat.chats.conversations import Conversations, open_conversations
from tests.web.conftest import OpenSite


@pytest.fixture
def conversations(database_url: str) -> Iterator[Conversations]:
    """Begins chats in the test's database."""
    with open_conversations(database_url) as conversations:
        yield conversations


async def test_chats_are_found_renamed_and_deleted(
    open_site: OpenSite, settings: Settings, conversations: Conversations
) -> None:
    for title in ("To Zanzibar", "To <b>Lamu</b>", "To Pemba"):
        conversations.begin(title).ask(f"When does the boat leave? {title}")
    site = await open_site(settings)
    page = site.page
    chats = page.get_by_role("region", name="Chats")
    items = chats.get_by_role("listitem")
    await expect(items).to_have_count(3)

    await chats.get_by_label("Search chats").fill("zanzi")
    await expect(items).to_have_count(1)
    await expect(items).to_contain_text("To Zanzibar")
    await chats.get_by_label("Search chats").press("Escape")
    await expect(items).to_have_count(3)

    await items.filter(has_text="Lamu").hover()
    await page.get_by_role("button", name="Rename To <b>Lamu</b>").click()
    await page.get_by_label("Title").fill("To Lamu, by boat")
    await page.keyboard.press("Enter")
    await expect(chats.get_by_role("link", name="To Lamu, by boat")).to_be_visible()

    await chats.get_by_role("link", name="To Pemba").click()
    await expect(page.locator("article.question")).to_contain_text("To Pemba")
    await items.filter(has_text="Pemba").hover()
    await page.get_by_role("button", name="Delete To Pemba").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("To Pemba")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(items).to_have_count(3)
    await page.get_by_role("button", name="Delete To Pemba").click()
    await dialog.get_by_role("button", name="Delete").click()
    await expect(items).to_have_count(2)
    await expect(page.get_by_role("heading", name="Ask your documents")).to_be_visible()


async def test_a_long_list_and_a_long_chat_come_in_pages(
    open_site: OpenSite, settings: Settings, conversations: Conversations
) -> None:
    for number in range(45):
        chat = conversations.begin(f"Chat {number}")
    for number in range(35):
        chat.ask(f"Question {number}?")
    site = await open_site(settings, address=f"/#/chats/{chat.id}")
    page = site.page
    items = page.get_by_role("region", name="Chats").get_by_role("listitem")
    await expect(items).to_have_count(40)

    await page.get_by_role("button", name="Show more").click()
    await expect(items).to_have_count(45)

    await expect(page.locator("article").last).to_be_in_viewport()
    await expect(page.get_by_text("Question 0?")).to_have_count(0)
    earlier = page.get_by_role("button", name="Show earlier messages")
    while await earlier.is_visible():
        before = await page.locator("article").count()
        await earlier.click()
        await expect(page.locator("article").nth(before)).to_be_attached()
    await expect(page.get_by_text("Question 0?")).to_have_count(1)
