"""Asking on the page: the answer comes in, is stopped, changed, and survives what goes wrong."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, Route, expect

from settings import Settings
from tests.conftest import Ingest
from tests.cutting import Wire, open_wire
from tests.upstream import Upstream
from tests.web.asking import BOAT, QUESTION, ask, begin, finished, types
from tests.web.conftest import OpenSite, Site


@pytest.fixture
async def boat_site(open_site: OpenSite, upstream_settings: Settings, ingest: Ingest) -> Site:
    """The page of a bRAG that knows of a boat, with the test's own language model."""
    await ingest({"boat.md": BOAT})
    return await open_site(upstream_settings)


@pytest.fixture
def said(boat_site: Site, upstream: Upstream) -> Upstream:
    """A language model that answers from the passage."""
    upstream.behave = upstream.answers("The boat leaves ", "at *seven* in the morning. [1]")
    return upstream


async def test_a_question_is_answered_and_announced_once(boat_site: Site, said: Upstream) -> None:
    page = boat_site.page

    answer = await begin(boat_site, QUESTION)

    await expect(answer.locator(".prose")).to_have_text(
        "The boat leaves at seven in the morning. 1"
    )
    await expect(answer.locator(".prose em")).to_have_text("seven")
    await expect(answer.get_by_role("button", name="Source 1")).to_have_attribute(
        "aria-label", re.compile("verified quote")
    )
    await expect(page.get_by_role("status").first).to_have_text(re.compile("The boat leaves"))
    await expect(page).to_have_url(re.compile(r"#/chats/[\w-]{36}$"))
    await expect(page.locator("#chats li")).to_have_count(1)
    # What is shown is what is kept.
    await page.reload()
    await expect(page.locator("article")).to_have_count(2)
    await expect(page.locator("article.answer em")).to_have_text("seven")


async def test_it_is_written_as_it_comes_and_can_be_stopped(
    boat_site: Site, said: Upstream
) -> None:
    page = boat_site.page
    await begin(boat_site, QUESTION)
    pieces = types(said)

    answer = await ask(page, "And to Zanzibar, again?")
    pieces.put_nowait("At **sev")
    await expect(answer.locator(".prose")).to_have_text("At **sev")
    pieces.put_nowait("en**, ")
    await expect(answer.locator("strong")).to_have_text("seven")
    await page.get_by_role("button", name="Stop the answer").click()

    await finished(answer)
    await expect(answer).to_contain_text("Stopped")
    await expect(page.get_by_label("Your question")).to_be_focused()
    await expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()


async def test_another_answer_and_another_question_keep_the_first(
    boat_site: Site, said: Upstream
) -> None:
    page = boat_site.page
    await begin(boat_site, QUESTION)

    said.behave = said.answers("At seven o'clock, says the passage. [1]")
    await page.get_by_role("button", name="Answer again").click()
    switcher = page.get_by_role("group", name="Other answer")
    await expect(switcher).to_contain_text("2/2")
    await expect(page.locator(".prose")).to_contain_text("o'clock")
    await switcher.get_by_role("button", name="Previous answer").click()
    await expect(switcher).to_contain_text("1/2")
    await expect(page.locator(".prose")).to_contain_text("The boat leaves")

    said.behave = said.answers("It returns at nine. [1]")
    await page.get_by_role("button", name="Edit the question").click()
    await page.get_by_label("Edit the question").fill("When does the boat to Zanzibar return?")
    await page.keyboard.press("Enter")
    await expect(page.locator(".prose")).to_contain_text("at nine")
    questions = page.get_by_role("group", name="Other question")
    await expect(questions).to_contain_text("2/2")
    await questions.get_by_role("button", name="Previous question").click()
    await expect(page.locator(".question .words")).to_have_text(QUESTION)


async def test_a_failure_is_told_and_the_question_can_be_answered_again(
    boat_site: Site, said: Upstream
) -> None:
    page = boat_site.page
    boat_site.allow("502")
    await begin(boat_site, QUESTION)
    answers, said.behave = said.behave, said.refuses(500)

    answer = await ask(page, "Once more: when does the boat to Zanzibar leave?")
    await expect(answer).to_contain_text("OpenAI call failed")
    said.behave = answers
    await answer.get_by_role("button", name="Try again").click()

    await expect(page.locator("article")).to_have_count(4)
    await expect(page.locator("article.answer").last).to_contain_text("The boat leaves at seven")
    await expect(page.locator("article.answer").last).to_have_attribute("aria-busy", "false")


async def test_a_page_that_is_loaded_anew_reads_on(boat_site: Site, said: Upstream) -> None:
    page = boat_site.page
    await begin(boat_site, QUESTION)
    pieces = types(said)
    answer = await ask(page, "And to Zanzibar, again?")
    pieces.put_nowait("At seven, ")
    await expect(answer.locator(".prose")).to_contain_text("At seven")

    await page.reload()
    await expect(page.locator("article.answer").last).to_contain_text("At seven")
    await expect(page.get_by_role("button", name="Stop the answer")).to_be_visible()
    pieces.put_nowait("it is said. [1]")
    pieces.put_nowait(None)

    await expect(page.locator(".prose").last).to_contain_text("At seven, it is said.")
    await finished(page.locator("article.answer").last)
    await expect(page.locator("article")).to_have_count(4)


async def test_other_views_do_not_end_an_answer(boat_site: Site, said: Upstream) -> None:
    page = boat_site.page
    await begin(boat_site, QUESTION)
    pieces = types(said)
    answer = await ask(page, "And to Zanzibar, again?")
    pieces.put_nowait("At seven, ")
    await expect(answer.locator(".prose")).to_contain_text("At seven")
    address = page.url

    await page.get_by_role("link", name="Knowledge").click()
    pieces.put_nowait("it is said. ")
    await page.goto(address)
    await expect(page.locator(".prose").last).to_contain_text("At seven, it is said.")
    pieces.put_nowait(None)
    await finished(page.locator("article.answer").last)


async def test_a_question_that_another_window_forestalls_is_given_back(
    boat_site: Site, said: Upstream
) -> None:
    boat_site.allow("409")
    page = boat_site.page
    await begin(boat_site, QUESTION)
    other = await boat_site.context.new_page()
    boat_site.watch(other)
    await other.goto(page.url)
    await expect(other.locator("article")).to_have_count(2)
    pieces = types(said)
    await ask(page, "And to Zanzibar, again?")
    pieces.put_nowait("At seven")
    await expect(page.locator(".prose").last).to_contain_text("At seven")

    await ask(other, "And when does it return?")

    await expect(other.get_by_role("alert")).to_be_visible()
    await expect(other.get_by_label("Your question")).to_have_value("And when does it return?")
    # What the other window asked is here now, and neither can be changed meanwhile.
    await expect(other.locator(".prose").last).to_contain_text("At seven")
    await other.get_by_role("button", name="Edit the question").first.click()
    field = other.get_by_role("textbox", name="Edit the question")
    await field.fill("Something else?")
    await other.keyboard.press("Enter")
    await expect(other.get_by_role("status").filter(has_text="is being written")).to_be_visible()
    await expect(field).to_have_value("Something else?")
    pieces.put_nowait(None)
    await finished(other.locator("article.answer").last)


async def test_a_server_that_stops_ends_a_connection_but_no_answer(
    boat_site: Site, said: Upstream
) -> None:
    page = boat_site.page
    await begin(boat_site, QUESTION)
    pieces = types(said)
    answer = await ask(page, "And to Zanzibar, again?")
    pieces.put_nowait("At seven")
    await expect(answer.locator(".prose")).to_contain_text("At seven")

    told = asyncio.Event()

    async def stop(route: Route) -> None:
        body = 'event: error\ndata: {"code": "server_stopping", "message": "It stops."}\n\n'
        await route.fulfill(content_type="text/event-stream", body=body)
        told.set()

    await page.route("**/v1/messages/*/stream*", stop, times=1)
    await page.reload()
    answer = page.locator("article.answer").last
    await told.wait()
    pieces.put_nowait(" in the morning.")
    pieces.put_nowait(None)

    await expect(answer.locator(".prose")).to_contain_text("At seven in the morning.")
    await finished(answer)
    await expect(answer).not_to_contain_text("It stops.")


@pytest.fixture
async def wire(boat_site: Site) -> AsyncIterator[Wire]:
    """The page's connection, which can be cut."""
    async with open_wire(boat_site.url) as wire:
        boat_site.url = wire.url
        await boat_site.open()
        yield wire


async def test_a_dropped_connection_is_told_and_the_answer_read_on(
    boat_site: Site, said: Upstream, wire: Wire
) -> None:
    boat_site.allow("ERR_")
    page = boat_site.page
    await begin(boat_site, QUESTION)
    pieces = types(said)
    answer = await ask(page, "And to Zanzibar, again?")
    pieces.put_nowait("One, ")
    await expect(answer.locator(".prose")).to_contain_text("One,")

    wire.cut()
    await expect(answer).to_contain_text("Reconnecting")
    pieces.put_nowait("two, ")
    wire.mend()
    await expect(answer.locator(".prose")).to_have_text("One, two,")
    await expect(answer).not_to_contain_text("Reconnecting")
    pieces.put_nowait("three.")
    pieces.put_nowait(None)

    await finished(answer)
    await expect(answer.locator(".prose")).to_have_text("One, two, three.")

    # A question that never arrived is sent again, and asked once.
    said.behave = said.answers("At seven. [1]")
    wire.cut()
    answer = await ask(page, "When does the boat to Zanzibar leave, again?")
    await expect(answer).to_contain_text("Reconnecting")
    wire.mend()
    await finished(answer)
    await expect(answer.locator(".prose")).to_contain_text("At seven.")
    await page.reload()
    await expect(page.locator("article.question")).to_have_count(3)


async def test_what_an_answer_says_can_neither_run_nor_load(
    boat_site: Site, said: Upstream
) -> None:
    page = boat_site.page
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    said.behave = said.answers(
        "The boat leaves at seven. [1]\n\n<img src=https://evil.example/a onerror=document.title=1>"
        "<script>document.title=1</script> ![x](https://evil.example/b) [y](javascript:alert(1))"
        "\n\n[1]: https://evil.example/c"
    )

    answer = await begin(boat_site, QUESTION)

    await expect(answer).to_contain_text("<script>")
    assert await answer.locator(".prose").locator("img, script, svg").count() == 0
    assert await answer.locator("a[href^='javascript']").count() == 0
    assert not [url for url in requests if not url.startswith((boat_site.url, "data:"))]
    assert await page.title() != "1"


async def test_nothing_moves_while_an_answer_is_written(boat_site: Site, said: Upstream) -> None:
    page = boat_site.page
    await begin(boat_site, QUESTION)
    pieces = types(said)
    await page.evaluate(
        """() => { window.shifts = 0; new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) window.shifts += entry.value;
        }).observe({ type: "layout-shift" }) }"""
    )
    answer = await ask(page, "Tell me all of the boat to Zanzibar!")

    for number in range(30):
        pieces.put_nowait(
            f"Word *{number}* of a longer answer, [1]\n\n" if number % 5 == 4 else "more and "
        )
        await page.wait_for_timeout(40)
    pieces.put_nowait(None)
    await finished(answer)

    await page.wait_for_timeout(200)
    assert await page.evaluate("window.shifts") < 0.02
    assert await _sticks_out(page) == 0


async def _sticks_out(page: Page) -> int:
    width: int = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return width


async def test_on_a_phone_it_is_all_there(
    open_site: OpenSite, upstream_settings: Settings, upstream: Upstream, ingest: Ingest
) -> None:
    await ingest({"boat.md": BOAT})
    upstream.behave = upstream.answers(f"The boat leaves at seven. [1]\n\n    {'x' * 300}\n")
    site = await open_site(
        upstream_settings, viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True
    )

    answer = await begin(site, QUESTION)

    assert await _sticks_out(site.page) == 0
    await answer.get_by_role("button", name="Source 1").first.tap()
    panel = site.page.get_by_role("dialog")
    await expect(panel.locator("mark")).to_be_visible()
    assert await _sticks_out(site.page) == 0
    await panel.get_by_role("button", name="Close the passage").tap()
    await expect(panel).to_be_hidden()
