"""A site's pages: what is taken in, what is left out, and where they lead."""

import hashlib
from collections.abc import AsyncIterator
from types import SimpleNamespace

import anyio.to_thread
import pytest
from starlette.requests import Request
from starlette.responses import Response

from app import __version__
from app.knowledge.connectors.config import WebConfig
from app.knowledge.connectors.models import Entry, Fetched, Gone, NotModified
from app.knowledge.connectors.web import WebConnector
from app.knowledge.exceptions import SourceUnavailable, SourceUnusable
from tests.serving import serve
from tests.web_site import Site, Source, links, paths

HTML = b"<title>Page</title><h1>Page</h1>"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A site with nothing but a start page."""
    site = Site()
    async with serve(site) as site.url:
        site.put("/", HTML)
        yield site


class Answer:
    """A page with validators; 304 to who has them all."""

    def __init__(self, body: str, headers: dict[str, str]) -> None:
        self.body = body
        self.headers = {"content-type": "text/html", **headers}

    def __call__(self, request: Request) -> Response:
        names = {"etag": "if-none-match", "last-modified": "if-modified-since"}
        known = {
            self.headers[name] == request.headers.get(condition)
            for name, condition in names.items()
            if name in self.headers
        }
        return (
            Response(status_code=304)
            if known == {True}
            else Response(self.body, headers=self.headers)
        )


async def test_a_start_page_is_listed_alone(site: Site) -> None:
    listing = await Source(site).start()
    assert listing.entries == [Entry("index", url=f"{site.url}/")]
    assert listing.skipped == []


async def test_a_page_is_fetched_as_it_is(site: Site) -> None:
    site.put("/guide/a?x=1", HTML, kind="text/html; charset=utf-8")
    page = await Source(site).fetched("guide/a?x=1")
    assert page.content.data == HTML
    assert page.content.media_type == "text/html; charset=utf-8"
    assert page.version == hashlib.sha256(HTML).hexdigest()
    assert page.url == f"{site.url}/guide/a?x=1"


async def test_the_site_learns_who_reads_it(site: Site) -> None:
    await Source(site).fetched("index")
    assert {request.headers["user-agent"] for request in site.requests} == {f"bRAG/{__version__}"}


@pytest.mark.parametrize(
    "kind",
    ["text/html", "application/xhtml+xml", "text/plain", "text/markdown", "application/pdf"],
)
async def test_texts_and_pdfs_are_taken_in(site: Site, kind: str) -> None:
    site.put("/page", b"content", kind=kind)
    assert (await Source(site).fetched("page")).content.media_type == kind


async def test_other_kinds_are_not_even_read(site: Site) -> None:
    site.put("/page", b"x" * 2_000_000, kind="video/mp4")
    assert await Source(site).gone("page") == "is not a text or a PDF, but video/mp4"


@pytest.mark.parametrize("status", [404, 410])
async def test_a_page_that_is_not_there_is_gone(site: Site, status: int) -> None:
    site.put("/page", status=status)
    assert await Source(site).gone("page") == f"is not there (the site answers {status})"


@pytest.mark.parametrize("status", [400, 401, 403, 451, 204, 304])
async def test_an_answer_that_stays_so_is_not_tried_again(site: Site, status: int) -> None:
    site.put("/page", status=status)
    with pytest.raises(SourceUnusable, match=rf"/page answered {status}"):
        await Source(site).fetch("page")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_a_busy_site_is_tried_again_later(site: Site, status: int) -> None:
    site.put("/page", status=status, retry_after="120")
    with pytest.raises(SourceUnavailable, match=rf"/page answered {status}") as caught:
        await Source(site).fetch("page")
    assert caught.value.retry_after_sec == 120


@pytest.mark.parametrize("retry_after", ["Fri, 20 Nov 2026 15:00:00 GMT", "-1", "\u0663", "9" * 99])
async def test_nonsense_about_when_to_try_again_is_ignored(site: Site, retry_after: str) -> None:
    site.answers["/page"] = lambda _: Response(
        status_code=429, headers={"retry-after": retry_after.encode().decode("latin-1")}
    )
    with pytest.raises(SourceUnavailable) as caught:
        await Source(site).fetch("page")
    assert caught.value.retry_after_sec is None


async def test_a_page_larger_than_the_limit_is_left_out(site: Site) -> None:
    site.put("/page", b"x" * 1_000_001)
    assert await Source(site).gone("page") == (
        "is larger than 1 MB (the setting MAX_DOCUMENT_BYTES)"
    )


# Links


async def test_a_page_leads_to_the_pages_it_links_to(site: Site) -> None:
    site.put(
        "/guide/",
        '<a href="a">A</a> <a href="/b?y=2&x=1#part">B</a> <area href="c/"> <a href="/b?x=1&y=2">'
        '<a href="#here"> <a href="https://elsewhere.test/"> <a name="anchor"> <a href="./">',
    )
    page = await Source(site).fetched("guide/")
    assert page.links == [
        Entry("guide/a", url=f"{site.url}/guide/a"),
        Entry("b?x=1&y=2", url=f"{site.url}/b?x=1&y=2"),
        Entry("guide/c/", url=f"{site.url}/guide/c/"),
    ]


async def test_links_are_relative_to_the_pages_base(site: Site) -> None:
    site.put("/x/", '<base href="/other/"><base href="/second/"><a href="a">A</a>')
    assert links(await Source(site).fetched("x/")) == ["other/a"]


async def test_a_foreign_base_makes_foreign_links(site: Site) -> None:
    site.put("/x/", '<base href="https://elsewhere.test/"><a href="a">A</a>')
    assert links(await Source(site).fetched("x/")) == []


@pytest.mark.parametrize(
    "page",
    [
        '<a rel="external nofollow" href="/a">A</a>',
        '<meta name="robots" content="nofollow"><a href="/a">A</a>',
        '<a href="/a">A</a><META NAME="bRAG" CONTENT="index, NOFOLLOW">',
    ],
)
async def test_links_that_are_not_to_be_followed_are_not(site: Site, page: str) -> None:
    site.put("/page", page)
    assert links(await Source(site).fetched("page")) == []


async def test_links_are_not_followed_beyond_the_depth(site: Site) -> None:
    site.put("/page", '<a href="/a">A</a>')
    source = Source(site, max_depth=2)
    assert links(await source.fetched("page", depth=1)) == ["a"]
    assert links(await source.fetched("page", depth=2)) == []


async def test_the_links_of_a_sitemaps_page_are_not_followed(site: Site) -> None:
    site.sitemap("/sitemap.xml", "/page")
    site.put("/page", '<a href="/a">A</a>')
    source = Source(site, "/sitemap.xml")
    assert links(await source.fetched("page", depth=0)) == []


async def test_a_page_has_a_thousand_links_at_most(site: Site) -> None:
    site.put("/page", "".join(f'<a href="/p{number}">' for number in range(2_000)))
    assert len(links(await Source(site).fetched("page"))) == 1_000


async def test_only_links_below_a_prefix_are_followed(site: Site) -> None:
    site.put("/", '<a href="/docs/a">A</a><a href="/blog/b">B</a>')
    source = Source(site, path_prefixes=["/docs"])
    assert links(await source.fetched("index", depth=0)) == ["docs/a"]
    assert await source.gone("blog/b") == "is not below any of the source's path_prefixes"


async def test_a_crawl_takes_in_every_page_once(site: Site) -> None:
    site.put("/", '<a href="a">A</a><a href="/b">B</a>')
    site.put("/a", '<a href="/">home</a><a href="b">B</a><a href="c#x">C</a>')
    site.put("/b", '<a href="/?utm_source=b">home</a>')
    site.put("/c", "deep")
    results = await Source(site).crawl()
    assert list(results) == ["index", "a", "b", "c"]
    assert all(isinstance(result, Fetched) for result in results.values())


# What a page says of itself


@pytest.mark.parametrize(
    ("page", "header"),
    [
        ('<meta name="robots" content="noindex"><a href="/a">A</a>', ""),
        ('<meta name="ROBOTS" content="NOINDEX, follow"><a href="/a">A</a>', ""),
        ('<meta name="brag" content="noindex"><a href="/a">A</a>', ""),
        ('<a href="/a">A</a>', "noindex"),
        ('<a href="/a">A</a>', "noarchive, NoIndex"),
        ('<a href="/a">A</a>', "bRAG: noindex"),
        ('<a href="/a">A</a>', "max-snippet:-1, noindex"),
    ],
)
async def test_a_page_that_asks_not_to_be_taken_in_still_leads_on(
    site: Site, page: str, header: str
) -> None:
    site.put("/page", page, x_robots_tag=header)
    result = await Source(site).fetch("page")
    assert isinstance(result, Gone)
    assert result.reason == "asks not to be taken in (noindex)"
    assert links(result) == ["a"]


async def test_a_page_that_says_none_leads_nowhere(site: Site) -> None:
    site.put("/page", '<meta name="robots" content="none"><a href="/a">A</a>')
    result = await Source(site).fetch("page")
    assert isinstance(result, Gone)
    assert links(result) == []


@pytest.mark.parametrize("header", ["otherbot: noindex", "unavailable_after: 25 Jun 2030 15:00:00"])
async def test_what_is_said_to_other_programs_does_not_count(site: Site, header: str) -> None:
    site.put("/page", HTML, x_robots_tag=header)
    await Source(site).fetched("page")


async def test_a_copy_of_another_page_leads_to_that_page(site: Site) -> None:
    site.put("/print/a", '<link rel="canonical" href="/a?utm_source=x"><a href="/b">B</a>')
    result = await Source(site).fetch("print/a")
    assert isinstance(result, Gone)
    assert result.reason == "is a copy of a"
    assert result.moved_to is not None
    assert result.moved_to.path == "a"
    assert links(result) == ["b"]


@pytest.mark.parametrize("canonical", ["/page", "http://elsewhere.test/page", "", "http://["])
async def test_a_page_that_is_the_original_or_of_another_site_is_taken_in(
    site: Site, canonical: str
) -> None:
    site.put("/page", f'<link rel="canonical" href="{canonical}">')
    await Source(site).fetched("page")


async def test_a_page_is_not_taken_for_a_copy_of_where_it_was_redirected_from(site: Site) -> None:
    site.put("/page", status=301, location="/page/")
    site.put("/page/", '<link rel="canonical" href="/page">')
    await Source(site).fetched("page")


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirected_page_leads_to_where_it_is(site: Site, status: int) -> None:
    site.put("/old", status=status, location="new/?b=2")
    site.put("/new/?b=2", '<a href="x">X</a>')
    result = await Source(site).fetch("old")
    assert isinstance(result, Gone)
    assert result.reason == "leads to new/?b=2"
    assert result.moved_to is not None
    page = await Source(site).fetched(result.moved_to.path)
    assert page.url == f"{site.url}/new/?b=2"
    assert links(page) == ["new/x"]


async def test_the_start_page_may_lead_anywhere_on_the_site(site: Site) -> None:
    site.put("/", status=302, location="/docs/")
    site.put("/docs/", '<a href="x">X</a>')
    page = await Source(site).fetched("index")
    assert page.url == f"{site.url}/docs/"
    assert links(page) == ["docs/x"]


async def test_a_redirect_to_another_site_says_which(site: Site) -> None:
    site.put("/page", status=302, location="https://login.test/?secret=1")
    assert await Source(site).gone("page") == "redirects to another site, login.test"


async def test_a_redirect_out_of_the_prefixes_is_not_followed(site: Site) -> None:
    site.put("/docs/a", status=302, location="/login")
    source = Source(site, path_prefixes=["/docs"])
    assert await source.gone("docs/a") == "is not below any of the source's path_prefixes"
    assert site.asked() == ["/docs/a"]


async def test_a_start_page_may_redirect_within_the_site(site: Site) -> None:
    site.put("/", status=302, location="/en/")
    site.put("/en/", '<a href="docs/a">A</a>')
    source = Source(site, path_prefixes=["/en/docs"])
    assert paths(await source.start()) == ["index"]
    assert links(await source.fetched("index", depth=0)) == ["en/docs/a"]


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (404, {}, "is not there"),
        (302, {"location": "https://www.example.org/"}, "redirects to another site, www.example"),
        (200, {"content-type": "image/png"}, "is not a text or a PDF, but image/png"),
    ],
)
async def test_a_start_page_that_can_not_be_used_says_what_to_change(
    site: Site, status: int, headers: dict[str, str], message: str
) -> None:
    site.answers["/"] = lambda _: Response(status_code=status, headers=headers)
    with pytest.raises(SourceUnusable, match=f"{message}.*: give another address of the site"):
        await Source(site).start()


# Conditional requests


@pytest.mark.parametrize(
    "validators",
    [
        {"etag": '"1"'},
        {"etag": 'W/"1"'},
        {"last-modified": "Fri, 20 Nov 2026 15:00:00 GMT"},
        {"etag": '"1"', "last-modified": "Fri, 20 Nov 2026 15:00:00 GMT"},
    ],
)
async def test_a_page_that_is_as_it_was_is_not_sent_again(
    site: Site, validators: dict[str, str]
) -> None:
    site.answers["/page"] = Answer('<a href="/a">A</a>', validators)
    source = Source(site)
    first = await source.fetched("page")
    assert await source.fetch("page", first.state) == NotModified(first.links)


async def test_a_page_that_changed_is_fetched_again(site: Site) -> None:
    site.answers["/page"] = Answer("old", {"etag": '"1"'})
    source = Source(site)
    first = await source.fetched("page")
    site.answers["/page"] = Answer("new", {"etag": '"2"'})
    second = await source.fetch("page", first.state)
    assert isinstance(second, Fetched)
    assert second.content.data == b"new"
    assert second.version != first.version


async def test_a_redirected_page_is_asked_for_as_it_was_at_its_end(site: Site) -> None:
    # At its beginning the same tag means nothing.
    site.put("/", status=301, location="/page", etag='"1"')
    site.answers["/page"] = Answer("text", {"etag": '"1"'})
    source = Source(site)
    first = await source.fetched("index")
    assert isinstance(await source.fetch("index", first.state), NotModified)
    asked = [(request.url.path, "if-none-match" in request.headers) for request in site.requests]
    assert asked[-2:] == [("/", False), ("/page", True)]


async def test_links_that_were_not_looked_for_before_are_found_now(site: Site) -> None:
    site.answers["/page"] = Answer('<a href="/a/b">A</a>', {"etag": '"1"'})
    shallow = await Source(site, max_depth=1).fetched("page", depth=1)
    narrow = await Source(site, path_prefixes=["/page", "/x"]).fetched("page")
    assert links(shallow) == links(narrow) == []
    for state in (shallow.state, narrow.state):
        assert links(await Source(site).fetch("page", state)) == ["a/b"]


async def test_tags_that_could_not_be_sent_back_are_forgotten(site: Site) -> None:
    site.put("/page", HTML, etag="\u00e4")
    page = await Source(site).fetched("page")
    assert page.state["etag"] is None
    assert isinstance(await Source(site).fetch("page", page.state), Fetched)


# Robots.txt


async def test_pages_that_robots_txt_closes_are_not_asked_for(site: Site) -> None:
    site.put("/robots.txt", "User-agent: *\nDisallow: /private/\n", kind="text/plain")
    site.put("/public", '<a href="/private/a">A</a>')
    source = Source(site)
    await source.fetched("public")
    assert await source.gone("private/a") == "is closed to programs by the site's robots.txt"
    assert site.asked() == ["/public"]


async def test_redirects_ask_robots_txt_too(site: Site) -> None:
    site.put("/robots.txt", "User-agent: *\nDisallow: /private/\n", kind="text/plain")
    site.put("/page", status=302, location="/private/a")
    assert await Source(site).gone("page") == "is closed to programs by the site's robots.txt"
    assert site.asked() == ["/page"]


async def test_rules_for_brag_come_before_those_for_all(site: Site) -> None:
    rules = "User-agent: *\nDisallow: /\n\nUser-agent: bRAG\nDisallow: /private\n"
    site.put("/robots.txt", rules, kind="text/plain")
    site.put("/page", HTML)
    source = Source(site)
    await source.fetched("page")
    await source.gone("private")


async def test_a_site_that_is_closed_to_programs_is_refused_in_plain_words(site: Site) -> None:
    site.put("/robots.txt", "User-agent: *\nDisallow: /\n", kind="text/plain")
    with pytest.raises(SourceUnusable, match=r"is closed to programs by the site's robots\.txt"):
        await Source(site).start()
    assert site.asked() == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_without_robots_txt_everything_is_allowed(site: Site, status: int) -> None:
    site.put("/robots.txt", "User-agent: *\nDisallow: /\n", status=status)
    await Source(site).fetched("index")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_nothing_is_read_while_robots_txt_can_not_be(site: Site, status: int) -> None:
    site.put("/robots.txt", status=status)
    with pytest.raises(SourceUnavailable, match=rf"/robots\.txt answered {status}"):
        await Source(site).fetch("index")
    assert site.asked() == []


async def test_a_connector_reads_robots_txt_once(site: Site) -> None:
    def read(url: str) -> None:
        config = WebConfig(kind="web", url=url)
        with WebConnector(config, allow_private=True, max_bytes=1_000) as connector:
            for entry in connector.start({}).entries * 3:
                connector.fetch(entry, {}, depth=0)

    site.put("/robots.txt", kind="text/plain")
    await anyio.to_thread.run_sync(read, site.url)
    assert [request.url.path for request in site.requests] == ["/robots.txt", *"////"]
    # And on one connection.
    assert len({request.client for request in site.requests}) == 1


@pytest.mark.parametrize(("delay", "waits"), [("0.25", 0.25), ("3600", 5), ("nonsense", None)])
async def test_a_crawl_delay_is_honoured_up_to_a_few_seconds(
    site: Site, monkeypatch: pytest.MonkeyPatch, delay: str, waits: float | None
) -> None:
    site.put("/robots.txt", f"User-agent: *\nCrawl-delay: {delay}\n", kind="text/plain")
    naps: list[float] = []
    clock = SimpleNamespace(sleep=naps.append, monotonic=lambda: 1_000.0)
    monkeypatch.setattr("app.knowledge.connectors.web_robots.time", clock)
    config = WebConfig(kind="web", url=site.url)

    def read() -> None:
        with WebConnector(config, allow_private=True, max_bytes=1_000) as connector:
            for _ in range(2):
                connector.fetch(Entry("index"), {}, depth=0)

    await anyio.to_thread.run_sync(read)
    assert naps == ([] if waits is None else [waits])
