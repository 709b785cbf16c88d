"""The view of what bRAG knows: adding to it, watching that, and what comes of it."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from app.core.database import Database
from app.knowledge.embedding import Embedder
from settings import Settings
from tests.serving import serve
from tests.support import fetch
from tests.web.browser.support import drop, hurried_worker, part, search_until_found, width_of
from tests.web.conftest import OpenSite, Site
from tests.web_site import Site as WebSite

BOAT = "# Timetable\n\nThe boat to the island leaves at nine.\n"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder on the server that may be read."""
    folder = tmp_path / "handbook"
    folder.mkdir()
    return folder


@pytest.fixture
def knowing(settings: Settings, folder: Path, embedder: Embedder) -> Settings:
    """Settings of a bRAG that reads it, and sites on this machine."""
    return settings.model_copy(
        update={"ingest_roots": [folder], "web_allow_private_addresses": True}
    )


@pytest.fixture
async def worker(knowing: Settings, database: Database) -> AsyncIterator[None]:
    """A worker beside it."""
    async with hurried_worker(knowing, database):
        yield


@pytest.fixture
async def view(open_site: OpenSite, knowing: Settings) -> Site:
    """The view."""
    return await open_site(knowing, address="/#/knowledge")


async def add(page: Page, address: str) -> None:
    await page.get_by_label("Address of a site").fill(address)
    await page.get_by_role("button", name="Add", exact=True).click()


@pytest.mark.usefixtures("worker")
async def test_a_dropped_file_is_watched_until_it_is_found(view: Site) -> None:
    page = view.page
    await drop(page, {"boat.md": BOAT})

    run = part(page, "Ingestions").get_by_role("listitem").filter(has_text="boat.md")
    await expect(run).to_contain_text("Done")
    await expect(run).to_contain_text("1 stored")
    await expect(page.locator("#live")).to_contain_text("1 stored")
    await expect(part(page, "Sources")).to_contain_text("1 document")
    listed = part(page, "Documents").get_by_role("link", name="Timetable")
    await expect(listed).to_have_attribute("href", re.compile("^#/documents/"))
    await page.reload()
    await expect(listed).to_be_visible()
    await expect(part(page, "Ingestions").get_by_role("listitem")).to_have_count(0)
    await page.get_by_text("Earlier ingestions").click()
    await expect(part(page, "Ingestions").get_by_role("listitem")).to_contain_text("1 stored")

    await page.get_by_role("link", name="Search").click()
    await search_until_found(page, "When does the boat leave?", "leaves at nine")


async def test_a_folder_is_uploaded_with_its_places(
    view: Site, tmp_path: Path, database: Database
) -> None:
    page, root = view.page, tmp_path / "mine"
    for path in ("a/index.md", "b/index.md", ".git/index.md", "node_modules/x/index.md", "a/x.png"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("Text.")

    await page.get_by_label("Choose a folder").set_input_files(root)

    await expect(part(page, "Notices")).to_contain_text("3 files left out")
    await expect(part(page, "Ingestions")).to_contain_text("2 files")
    assert fetch(database.url, "SELECT path FROM upload ORDER BY path") == [
        ("mine/a/index.md",),
        ("mine/b/index.md",),
    ]


async def test_files_are_chosen_with_the_keyboard_alone(view: Site) -> None:
    page = view.page
    await page.wait_for_selector(".drop")
    await page.locator("main").focus()
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Choose files")).to_be_focused()

    async with page.expect_file_chooser() as choosing:
        await page.keyboard.press("Space")
    chooser = await choosing.value
    await chooser.set_files({"name": "a.md", "mimeType": "text/markdown", "buffer": BOAT.encode()})

    await expect(part(page, "Ingestions")).to_contain_text("a.md")
    assert chooser.is_multiple()


@pytest.mark.usefixtures("worker")
async def test_what_failed_is_shown_with_its_reason_and_tried_again(view: Site) -> None:
    page, handbook = view.page, WebSite()
    handbook.put("/", "<h1>Start</h1><p>All begins here.</p><a href='/bad'>more</a>")
    handbook.put("/bad", "broken", 500)
    async with serve(handbook) as url:
        await add(page, f"{url}/")
        run = part(page, "Ingestions").get_by_role("listitem").filter(has_text="1 file failed")
        await expect(run).to_contain_text("Done in part")
        await expect(run.get_by_text("/bad")).to_be_visible()
        await expect(run.locator(".problems")).to_contain_text("500")

        handbook.put("/bad", "<h1>Better</h1><p>Now it can be read.</p>")
        await run.get_by_role("button", name=re.compile("^Try again")).click()

        done = part(page, "Ingestions").get_by_role("listitem").filter(has_text="2 stored")
        await expect(done).to_contain_text("Done")
        await expect(done.locator(".problems")).to_be_hidden()
        await expect(part(page, "Documents").get_by_role("link", name="Better")).to_be_visible()


async def test_progress_is_followed_again_when_the_connection_breaks(
    view: Site, knowing: Settings, database: Database
) -> None:
    view.allow("net::ERR_FAILED")
    page, broken = view.page, 0

    async def break_off(route: Route) -> None:
        nonlocal broken
        broken += 1
        await (route.abort() if broken <= 2 else route.continue_())

    await page.route("**/v1/ingestions/*/events", break_off)
    await drop(page, {"boat.md": BOAT})
    run = part(page, "Ingestions").get_by_role("listitem")
    await expect(run).to_contain_text("The connection broke; trying again")

    async with hurried_worker(knowing, database):
        await expect(run).to_contain_text("Done")
    assert broken == 3


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/etc", "INGEST_ROOTS"),
        ("docs.example.org", "begin with https://"),
        ("s3://bucket", "reads nothing from s3://"),
    ],
)
async def test_what_cannot_be_read_is_said_where_it_was_typed(
    view: Site, address: str, words: str
) -> None:
    view.allow("422")

    await add(view.page, address)

    await expect(view.page.get_by_role("alert").filter(has_text=words)).to_be_visible()
    await expect(view.page.get_by_label("Address of a site")).to_be_focused()


async def test_an_upload_that_is_too_large_says_so_and_can_be_sent_again(
    open_site: OpenSite, knowing: Settings
) -> None:
    small = knowing.model_copy(update={"max_upload_bytes": 2_000})
    site = await open_site(small, address="/#/knowledge")
    site.allow("413|ERR_CONNECTION")

    await drop(site.page, {"large.md": "x" * 3_000, "small.md": BOAT})

    refused = site.page.get_by_role("listitem").filter(has_text="Not uploaded")
    await expect(refused).to_contain_text("large.md")
    await expect(refused).to_contain_text("larger than 2000 bytes")
    await expect(refused.get_by_role("button", name=re.compile("^Try again"))).to_be_visible()
    await expect(part(site.page, "Ingestions")).to_contain_text("small.md")


async def test_an_upload_goes_on_when_its_view_is_left(view: Site) -> None:
    page, left = view.page, asyncio.Event()

    async def hold(route: Route) -> None:
        await left.wait()
        await route.continue_()

    await page.route("**/v1/documents", hold)
    await drop(page, {"boat.md": BOAT})
    await page.get_by_text("Uploading").wait_for()
    await page.get_by_role("link", name="Search").click()
    await expect(page.get_by_role("heading", name="Search")).to_be_visible()
    left.set()

    await expect(page.get_by_role("status").filter(has_text="boat.md uploaded")).to_be_visible()
    await page.get_by_role("link", name="Knowledge").click()
    await expect(part(page, "Ingestions").get_by_role("listitem")).to_contain_text("of 1 document")


@pytest.mark.usefixtures("worker")
async def test_a_source_is_synced_scheduled_and_deleted(
    view: Site, folder: Path, database: Database
) -> None:
    page = view.page
    (folder / "boat.md").write_text(BOAT)
    await add(page, str(folder))
    source = part(page, "Sources").get_by_role("listitem").filter(has_text=str(folder))
    await expect(source).to_contain_text("1 document")
    await expect(source).to_contain_text("Folder")

    await source.get_by_label("When to sync").select_option("6h")

    await expect(page.locator("#live")).to_contain_text("is synced every 6 hours")
    assert fetch(database.url, "SELECT every FROM source") == [(timedelta(hours=6),)]
    (folder / "train.md").write_text("# Train\n\nThe train leaves at ten.\n")
    await source.get_by_role("button", name=re.compile("^Sync")).click()
    await expect(source).to_contain_text("2 documents")

    await source.get_by_role("button", name=re.compile("^Delete")).click()
    await expect(page.get_by_role("dialog")).to_contain_text("2 documents")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert fetch(database.url, "SELECT count(*) FROM source") == [(1,)]
    await source.get_by_role("button", name=re.compile("^Delete")).click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(source).to_have_count(0)
    assert fetch(database.url, "SELECT count(*) FROM source") == [(0,)]


@pytest.mark.usefixtures("worker")
async def test_hostile_names_titles_and_texts_stay_text(view: Site) -> None:
    page = view.page
    await drop(page, {f"{HOSTILE}.md": f"# {HOSTILE}\n\nA boat {HOSTILE} leaves.\n"})
    await expect(part(page, "Documents").get_by_role("link", name=HOSTILE)).to_be_visible()
    await expect(part(page, "Ingestions")).to_contain_text(HOSTILE)

    await page.get_by_role("link", name="Search").click()
    hit = await search_until_found(page, f"boat {HOSTILE}", "A boat")

    await expect(hit).to_contain_text(f"A boat {HOSTILE} leaves.")
    assert await page.locator("main img").count() == 0


@pytest.mark.usefixtures("worker")
async def test_nothing_sticks_out_of_a_phone(open_site: OpenSite, knowing: Settings) -> None:
    site = await open_site(
        knowing, address="/#/knowledge", viewport={"width": 360, "height": 740}, has_touch=True
    )
    page = site.page
    await drop(page, {f"{'long' * 40}.md": f"# {'Long' * 40}\n\nThe boat {'leaves' * 40}.\n"})
    await expect(part(page, "Documents")).to_contain_text("LongLong")
    await page.get_by_text("Options").click()
    assert await width_of(page) == 360

    await page.goto(f"{site.url}/#/search")
    await search_until_found(page, "boat", "leavesleaves")
    assert await width_of(page) == 360
    for view in ("account", "login"):
        await page.goto(f"{site.url}/#/{view}")
        await expect(page.locator(f".view.{view} h1")).to_be_visible()
        assert await width_of(page) == 360
