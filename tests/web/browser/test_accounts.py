"""Signing in by a link, one's account, and what two people see of each other."""

import re
from collections.abc import AsyncIterator

import httpx2
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect
from pydantic import SecretStr

from app.accounts.sessions import COOKIE, Session
from app.core.database import Database
from settings import Settings
from tests.accounts.mailbox import Mailbox, open_mailbox, token_in
from tests.accounts.people import auth_required, bearer, join, log_in
from tests.support import fetch
from tests.web.browser.support import part
from tests.web.conftest import OpenSite, Site

ANN = "ann@example.org"


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    """Where links arrive."""
    async with open_mailbox() as mailbox:
        yield mailbox


@pytest.fixture
def secured(settings: Settings, mailbox: Mailbox) -> Settings:
    """A server where everybody has to sign in."""
    return auth_required(settings, smtp_url=SecretStr(mailbox.url), requests_per_minute=0)


@pytest.fixture
def session(database: Database, secured: Settings) -> Session:
    """Ann's session."""
    return log_in(database, secured, join(database, ANN))


async def follow_link(site: Site, mailbox: Mailbox) -> str:
    """Open the link that came by mail, and sign in; return its token."""
    recipients, mail = await mailbox.receive()
    assert recipients == [ANN]
    token = token_in(mail.get_content())
    await site.page.goto(f"{site.url}/login?token={token}")
    await expect(site.page.get_by_role("button", name="Sign in to bRAG")).to_be_focused()
    assert site.page.url == f"{site.url}/login"
    await site.page.keyboard.press("Enter")
    return token


async def signed_in(page: Page) -> None:
    await expect(page.get_by_role("link", name="Account")).to_be_visible()
    await page.get_by_role("link", name="Account").click()
    await expect(page.get_by_text(f"Signed in as {ANN}")).to_be_visible()


def profile_of_ann(database: Database) -> list[tuple[object, ...]]:
    return fetch(
        database.url,
        f"SELECT name, software_background, hardware_background FROM account WHERE email = '{ANN}'",
    )


async def test_from_the_first_visit_to_signing_out(
    open_site: OpenSite, secured: Settings, mailbox: Mailbox, database: Database
) -> None:
    site = await open_site(secured)
    site.allow("401")
    page = site.page
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await expect(page.get_by_label("Email")).to_be_focused()
    await page.get_by_role("button", name="Create an account").click()
    await page.get_by_label("Email").fill(ANN)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()

    token = await follow_link(site, mailbox)
    await signed_in(page)
    assert token not in page.url
    assert token not in await page.content()

    # Loaded anew, with nothing left but the cookie.
    await page.goto(f"{site.url}/#/account")
    await page.reload()
    await page.get_by_label("Name").fill("Ann")
    await page.get_by_label("Software").select_option("expert")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    assert profile_of_ann(database) == [("Ann", "expert", None)]

    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert not await site.context.cookies()
    assert fetch(database.url, "SELECT count(*) FROM access_token") == [(0,)]


async def test_signing_in_anew_in_another_window_breaks_nothing(
    open_site: OpenSite, secured: Settings, session: Session, database: Database
) -> None:
    site = await open_site(secured, address="/#/account", session=session)
    site.allow("403")
    page = site.page
    await page.get_by_label("Name").fill("Ann")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    [(ann,)] = fetch(database.url, f"SELECT id FROM account WHERE email = '{ANN}'")
    other = log_in(database, secured, ann)
    await site.context.add_cookies(
        [{"name": COOKIE, "value": other.token, "url": site.url, "httpOnly": True}]
    )

    await page.get_by_label("Hardware").select_option("beginner")
    async with page.expect_response(lambda answer: answer.ok and answer.request.method == "PATCH"):
        await page.get_by_role("button", name="Save").click()
    await page.wait_for_load_state("networkidle")

    assert profile_of_ann(database) == [("Ann", None, "beginner")]


async def test_nobody_learns_whether_there_is_an_account(
    open_site: OpenSite, secured: Settings, mailbox: Mailbox, session: Session
) -> None:
    site = await open_site(secured, address="/login")
    site.allow("401")
    told = []
    for address in (ANN, "nobody@example.org"):
        await site.page.get_by_label("Email").fill(address)
        await site.page.get_by_role("button", name="Send me a link").click()
        await expect(site.page.get_by_role("heading", name="Look into your mail")).to_be_visible()
        told.append((await site.page.locator(".login-card").inner_text()).replace(address, "X"))
        await site.page.get_by_role("button", name="Use another address").click()

    assert "X" in told[0]
    assert told[0] == told[1]
    assert (await mailbox.receive())[0] == [ANN]
    assert mailbox.is_empty


async def test_a_link_is_good_once_and_the_form_comes_after_it(
    open_site: OpenSite, secured: Settings, mailbox: Mailbox, session: Session
) -> None:
    site = await open_site(secured, address="/login?token=guess")
    site.allow("401")

    await site.page.get_by_role("button", name="Sign in to bRAG").click()

    await expect(site.page.get_by_role("alert")).to_contain_text("not valid, or no longer")
    await expect(site.page.get_by_label("Email")).to_be_focused()
    assert site.page.url == f"{site.url}/login"


async def test_a_session_that_ends_leads_to_the_form_and_back(
    open_site: OpenSite, secured: Settings, mailbox: Mailbox, session: Session, database: Database
) -> None:
    site = await open_site(secured, address="/#/search", session=session)
    site.allow("401")
    page = site.page
    await expect(page.get_by_label("Query")).to_be_visible()
    async with httpx2.AsyncClient(base_url=site.url, trust_env=False) as client:
        await client.post("/v1/logout", headers=bearer(session.token))

    await page.get_by_label("Query").fill("boat")
    await page.keyboard.press("Enter")
    await page.get_by_label("Email").fill(ANN)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()
    await follow_link(site, mailbox)

    await expect(page).to_have_url(re.compile("#/search"))
    await expect(page.get_by_label("Query")).to_be_visible()


async def test_a_token_is_shown_once_works_and_is_revoked(
    open_site: OpenSite, secured: Settings, session: Session
) -> None:
    site = await open_site(secured, address="/#/account", session=session)
    page = site.page
    await page.get_by_role("button", name="New token").click()
    await page.get_by_label("What it is for").fill("<b>nightly</b>")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("alert")).to_contain_text("Choose what it may be used for")
    await page.get_by_role("checkbox", name="Read").check()
    await page.get_by_label("Requests a minute").fill("30")
    assert await page.get_by_role("checkbox", name="Admin").count() == 0
    await page.get_by_role("button", name="Create").click()

    token = await page.get_by_label("Token", exact=True).input_value()
    async with httpx2.AsyncClient(base_url=site.url, trust_env=False) as client:
        assert (await client.get("/v1/sources", headers=bearer(token))).status_code == 200
        await page.get_by_role("button", name="Done").click()
        row = part(page, "API tokens").get_by_role("listitem")
        await expect(row).to_contain_text("<b>nightly</b>")
        await expect(row).to_contain_text("30 requests a minute")
        assert token not in await page.content()

        await row.get_by_role("button", name="Revoke").click()
        await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        await expect(row).to_have_count(0)
        assert (await client.get("/v1/sources", headers=bearer(token))).status_code == 401


async def test_who_deletes_an_account_types_its_address(
    open_site: OpenSite, secured: Settings, session: Session, database: Database
) -> None:
    site = await open_site(secured, address="/#/account", session=session)
    site.allow("401")
    page = site.page
    await page.get_by_role("button", name="Delete account").click()
    gone = page.get_by_role("button", name="Delete it for good")
    await page.get_by_label(f"Type {ANN}").fill("bob@example.org")
    await expect(gone).to_be_disabled()
    await page.get_by_label(f"Type {ANN}").fill(ANN)

    await gone.click()

    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert fetch(database.url, f"SELECT count(*) FROM account WHERE email = '{ANN}'") == [(0,)]


async def open_as(context: BrowserContext, url: str, session: Session) -> Page:
    await context.add_cookies(
        [{"name": COOKIE, "value": session.token, "url": url, "httpOnly": True}]
    )
    page = await context.new_page()
    await page.goto(f"{url}/#/knowledge")
    return page


async def test_two_people_see_what_is_theirs_and_what_is_shared(
    open_site: OpenSite, secured: Settings, session: Session, database: Database, browser: Browser
) -> None:
    site = await open_site(secured, address=None)
    bob = log_in(database, secured, join(database, "bob@example.org"))
    async with httpx2.AsyncClient(base_url=site.url, trust_env=False) as client:
        for name, visibility in (("Diary", "private"), ("Handbook", "shared")):
            config = {"kind": "github", "repository": f"ann/{name}"}
            body = {"config": config, "name": name, "visibility": visibility, "sync": False}
            made = await client.post("/v1/sources", json=body, headers=bearer(session.token))
            assert made.status_code == 201, made.text

    of_ann = part(await open_as(site.context, site.url, session), "Sources")
    async with await browser.new_context() as context:
        page = await open_as(context, site.url, bob)
        site.watch(page)
        of_bob = part(page, "Sources")

        await expect(of_ann.get_by_role("listitem")).to_have_count(2)
        await expect(of_bob.get_by_role("listitem")).to_have_count(1)
        await expect(of_bob).to_contain_text("Handbook")
        await expect(of_bob).to_contain_text("somebody else’s")
        assert await of_bob.get_by_role("button").count() == 0
        assert "Diary" not in await page.content()
    await expect(of_ann.get_by_role("button", name="Share Diary")).to_be_visible()


async def test_without_accounts_the_views_say_so(site: Site) -> None:
    await site.page.get_by_role("link", name="Account").click()
    await expect(site.page.get_by_text("This server has no accounts")).to_be_visible()
    await expect(site.page.get_by_text("API tokens", exact=True)).to_have_count(0)

    await site.page.goto(f"{site.url}/login?token=x")

    await expect(site.page.get_by_role("heading", name="Nobody signs in here")).to_be_visible()
