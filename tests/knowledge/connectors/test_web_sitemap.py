"""Sites that name their pages in a sitemap."""

import gzip
from collections.abc import AsyncIterator

import pytest

from app.knowledge.connectors.models import Entry, Listing
from app.knowledge.connectors.web_sitemap import MAX_BYTES
from app.knowledge.exceptions import SourceUnavailable, SourceUnusable
from tests.serving import serve
from tests.web_site import Site, Source, paths


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A site without pages."""
    site = Site()
    async with serve(site) as site.url:
        yield site


async def listing(site: Site, target: str = "/sitemap.xml", **config: object) -> Listing:
    return await Source(site, target, **config).start()


def reasons(listing: Listing) -> list[str]:
    return [skipped.reason for skipped in listing.skipped]


async def test_the_pages_of_a_sitemap_are_listed_in_its_order(site: Site) -> None:
    site.sitemap("/sitemap.xml", "/b", "/", "/a?x=1&amp;utm_source=map", "/b#again")
    found = await listing(site)
    assert found.entries == [
        Entry("b", url=f"{site.url}/b"),
        Entry("index", url=f"{site.url}/"),
        Entry("a?x=1", url=f"{site.url}/a?x=1"),
    ]
    assert found.skipped == []


@pytest.mark.parametrize("kind", ["text/html", "text/plain", "application/octet-stream"])
async def test_a_sitemap_is_known_by_its_content(site: Site, kind: str) -> None:
    text = "<urlset><url><loc>/a</loc><lastmod>2026-11-20</lastmod></url></urlset>"
    site.put("/pages", text, kind=kind)
    assert (await listing(site, "/pages")).entries == [Entry("a", url=f"{site.url}/a")]


async def test_a_page_that_looks_like_a_sitemap_by_its_name_is_a_page(site: Site) -> None:
    site.put("/sitemap.xml", "<!doctype html><html><p>All pages</html>")
    assert paths(await listing(site)) == ["sitemap.xml"]


async def test_xml_that_is_no_sitemap_is_refused(site: Site) -> None:
    site.put("/sitemap.xml", "<rss><channel/></rss>", kind="application/xml")
    with pytest.raises(SourceUnusable, match="is neither a page nor a sitemap"):
        await listing(site)


async def test_a_compressed_sitemap_is_read(site: Site) -> None:
    text = b"<urlset><url><loc>/a</loc></url></urlset>"
    site.put("/sitemap.xml.gz", gzip.compress(text), kind="application/gzip")
    assert paths(await listing(site, "/sitemap.xml.gz")) == ["a"]


async def test_other_addresses_in_a_sitemap_are_not_taken_for_pages(site: Site) -> None:
    site.put(
        "/sitemap.xml",
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:i="urn:image">'
        "<!-- <url><loc>/comment</loc></url> --><url><i:image><i:loc>/image</i:loc></i:image>"
        "<loc> /a\n</loc><loc>/second</loc></url><url/><url><loc/></url></urlset>",
        kind="text/xml",
    )
    assert paths(await listing(site)) == ["a"]


async def test_the_sitemaps_of_an_index_are_read(site: Site) -> None:
    site.sitemap("/sitemap.xml", "/one.xml", "/two.xml", "/one.xml", root="sitemapindex")
    site.sitemap("/one.xml", "/a", "/b")
    site.sitemap("/two.xml", "/b", "/c")
    assert paths(await listing(site)) == ["a", "b", "c"]
    assert site.asked() == ["/sitemap.xml", "/one.xml", "/two.xml"]


async def test_indexes_that_name_each_other_are_read_once(site: Site) -> None:
    site.sitemap("/sitemap.xml", "/sitemap.xml", "/other.xml", root="sitemapindex")
    site.sitemap("/other.xml", "/sitemap.xml", "/pages.xml", root="sitemapindex")
    site.sitemap("/pages.xml", "/a")
    assert paths(await listing(site)) == ["a"]


async def test_an_endless_chain_of_indexes_comes_to_an_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.knowledge.connectors.web_listing._MAX_SITEMAPS", 5)
    for number in range(9):
        site.sitemap(f"/{number}.xml", f"/{number + 1}.xml", root="sitemapindex")
    with pytest.raises(SourceUnusable, match="names more than 5 sitemaps"):
        await listing(site, "/0.xml")
    assert len(site.asked()) == 6


async def test_a_sitemap_of_an_index_that_is_not_there_is_reported(site: Site) -> None:
    site.sitemap("/sitemap.xml", "/gone.xml", "/page", "/ok.xml", root="sitemapindex")
    site.put("/page", "<p>no sitemap")
    site.sitemap("/ok.xml", "/a")
    found = await listing(site)
    assert paths(found) == ["a"]
    assert reasons(found) == [
        "names a sitemap, gone.xml, that is not there (the site answers 404)",
        "names a sitemap, page, that is none",
    ]


async def test_a_sitemap_of_an_index_that_can_not_be_read_fails_the_listing(site: Site) -> None:
    # Its pages would be taken for gone.
    site.sitemap("/sitemap.xml", "/ok.xml", "/busy.xml", root="sitemapindex")
    site.sitemap("/ok.xml", "/a")
    site.put("/busy.xml", status=503)
    with pytest.raises(SourceUnavailable, match=r"/busy\.xml answered 503"):
        await listing(site)


async def test_pages_and_sitemaps_of_other_sites_are_left_out_and_counted(site: Site) -> None:
    site.sitemap("/sitemap.xml", "https://x.test/s.xml", "/ok.xml", root="sitemapindex")
    site.sitemap("/ok.xml", "/a", "https://x.test/", "http://169.254.169.254/", "file:///x", "::")
    found = await listing(site)
    assert paths(found) == ["a"]
    assert reasons(found) == [
        "names a sitemap of another site, which is left out",
        "names 4 pages of other sites, which are left out",
    ]


async def test_only_pages_below_a_prefix_are_listed(site: Site) -> None:
    site.sitemap("/sitemap.xml", "/docs/a", "/blog/b", "/docs/" + "x" * 500)
    found = await listing(site, path_prefixes=["/docs/"])
    assert paths(found) == ["docs/a"]


async def test_pages_that_robots_txt_closes_are_left_out_and_counted(site: Site) -> None:
    site.put("/robots.txt", "User-agent: *\nDisallow: /private", kind="text/plain")
    site.sitemap("/sitemap.xml", "/a", "/private/b")
    found = await listing(site)
    assert paths(found) == ["a"]
    assert reasons(found) == ["names 1 pages that robots.txt closes to programs"]


async def test_no_more_pages_are_listed_than_wanted(site: Site) -> None:
    site.sitemap("/sitemap.xml", "/one.xml", "/two.xml", root="sitemapindex")
    site.sitemap("/one.xml", *(f"/{number}" for number in range(11)))
    found = await listing(site, max_pages=10)
    assert paths(found) == [str(number) for number in range(10)]
    assert reasons(found) == ["names more than 10 pages (max_pages)"]
    assert "/two.xml" not in site.asked()


async def test_a_sitemap_with_just_as_many_pages_as_wanted_is_whole(site: Site) -> None:
    site.sitemap("/sitemap.xml", *(f"/{number}" for number in range(10)))
    found = await listing(site, max_pages=10)
    assert len(found.entries) == 10
    assert found.skipped == []


async def test_a_sitemap_names_50_000_addresses_at_most(site: Site) -> None:
    site.sitemap("/sitemap.xml", "/a", *["https://x.test/"] * 49_999, "/b")
    found = await listing(site)
    assert paths(found) == ["a"]
    assert "names more addresses than a sitemap may: the rest is left out" in reasons(found)


@pytest.mark.parametrize("locations", [[], ["https://x.test/"]])
async def test_a_sitemap_without_a_usable_page_is_refused(site: Site, locations: list[str]) -> None:
    site.sitemap("/sitemap.xml", *locations)
    with pytest.raises(SourceUnusable, match=r"The sitemap .*/sitemap\.xml names"):
        await listing(site)


@pytest.mark.parametrize(
    "data",
    [
        b"<urlset><url><loc>/a</loc></url>",
        b"<urlset><url><loc>/a</loc></url><url><loc>/b?x=1&y=2</loc></url></urlset>",
        b"<urlset>" + b"<x>" * 1_000,
        gzip.compress(b"<urlset><url><loc>/a</loc></url></urlset>")[:-12],
        b"\x1f\x8bno gzip",
    ],
    ids=["cut off", "not XML", "deep", "cut off and compressed", "not gzip"],
)
async def test_a_damaged_sitemap_is_refused_as_a_whole(site: Site, data: bytes) -> None:
    site.put("/sitemap.xml", data, kind="application/xml")
    with pytest.raises(SourceUnusable, match="The sitemap is damaged"):
        await listing(site)


async def test_a_sitemap_that_decompresses_without_end_is_refused(site: Site) -> None:
    bomb = gzip.compress(b"<urlset>" + b" " * MAX_BYTES)
    site.put("/sitemap.xml.gz", bomb, kind="application/gzip")
    with pytest.raises(SourceUnusable, match="The sitemap is larger than 50 MB"):
        await listing(site, "/sitemap.xml.gz")


@pytest.mark.parametrize(
    "definition",
    ['<!ENTITY x SYSTEM "file:///etc/hostname">', '<!ENTITY x "/expanded">'],
)
async def test_entities_of_a_sitemap_are_not_expanded(site: Site, definition: str) -> None:
    site.put(
        "/sitemap.xml",
        f"<!DOCTYPE urlset [{definition}]>"
        "<urlset><url><loc>/a</loc></url><url><loc>&x;</loc></url></urlset>",
        kind="application/xml",
    )
    assert paths(await listing(site)) == ["a"]
