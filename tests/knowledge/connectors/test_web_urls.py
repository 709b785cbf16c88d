"""Which addresses belong to a site, and how their pages are named."""

import httpx2
import pytest

from app.knowledge.connectors.config import WebConfig
from app.knowledge.connectors.web_urls import Site, parse_url, printable
from app.knowledge.exceptions import SourceUnusable

BASE = httpx2.URL("https://docs.example.org/guide/start.html")


def site(url: str = "https://docs.example.org/", **config: object) -> Site:
    return Site(WebConfig.model_validate({"kind": "web", "url": url, **config}))


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("/", "index"),
        ("/index", "%69ndex"),
        ("/?page=2", "?page=2"),
        ("/index?page=2", "index?page=2"),
        ("other.html", "guide/other.html"),
        ("../a/./b/../c", "a/c"),
        ("//docs.example.org/x", "x"),
        ("https://DOCS.example.org:443/x", "x"),
        ("http://docs.example.org/x", "x"),
        ("https://docs.example.org./x", "x"),
        (" /with space ", "with%20space"),
        ("/caf\u00e9", "caf%C3%A9"),
        ("/caf%c3%a9", "caf%C3%A9"),
        ("/%7euser/%61", "~user/a"),
        ("/a%2Fb", "a%2Fb"),
        ("/%2e%2e/up", "up"),
        ("https://docs.example.org//twice", "twice"),
        ("/x#part", "x"),
        ("/x?", "x"),
        ("/x?b=2&a=1", "x?a=1&b=2"),
        ("/x?a=2&b&a=1", "x?a=2&a=1&b"),
        ("/x?utm_source=mail&id=7&UTM_medium=x&gclid=1", "x?id=7"),
    ],
)
def test_a_page_has_one_name_however_its_address_is_written(link: str, path: str) -> None:
    assert site().find(link, BASE) == path


@pytest.mark.parametrize(
    "path", ["index", "%69ndex", "?page=2", "a/b%2Fc", "x?a=2&a=1&b", "caf%C3%A9", "~u/a"]
)
def test_the_name_of_a_page_leads_back_to_its_address(path: str) -> None:
    here = site()
    assert here.path_of(here.url_of(path)) == path
    assert here.entry(path).url == str(here.url_of(path))


@pytest.mark.parametrize(
    "link",
    [
        "https://example.org/",
        "https://docs.example.org.evil.test/",
        "https://docs.example.org:8443/",
        "https://user:secret@docs.example.org/",
        "https://docs.example.org@evil.test/",
        "//evil.test/x",
        "mailto:somebody@docs.example.org",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://docs.example.org/x",
        "file:///etc/passwd",
        "https://[::1",
        "https://docs.example.org:99999/",
        "https://docs.example.org:0/",
        "/nul\x00byte",
        "/" + "long/" * 100 + "x",
        "/" + "x" * 70_000,
    ],
)
def test_a_link_that_leads_elsewhere_or_nowhere_is_not_followed(link: str) -> None:
    assert site().find(link, BASE) is None


def test_only_pages_below_a_prefix_are_taken_in_and_the_start_page() -> None:
    here = site(path_prefixes=["docs/", "/%c3%a4"])
    assert here.find("/docs/a", BASE) == "docs/a"
    assert here.find("/ä/b", BASE) == "%C3%A4/b"
    assert here.find("/", BASE) == "index"
    assert here.find("/blog/docs/", BASE) is None


@pytest.mark.parametrize(
    "url",
    [
        "docs.example.org",
        "ftp://docs.example.org/",
        "file:///etc/passwd",
        "https://",
        "http://0177.0.0.1/",
        "http://999.1.1.1/",
        "https://user:hunter2@docs.example.org/",
    ],
)
def test_a_source_that_is_no_web_address_is_refused_without_telling_its_password(url: str) -> None:
    with pytest.raises(SourceUnusable, match="The source's url") as caught:
        site(url)
    assert "hunter2" not in str(caught.value)


def test_a_message_shows_an_address_without_what_may_be_secret() -> None:
    url = parse_url("https://user:hunter2@docs.example.org/x?token=hunter2")
    assert url is not None
    assert printable(url) == "https://docs.example.org/x"
