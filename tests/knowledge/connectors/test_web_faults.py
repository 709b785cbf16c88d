"""Sites that are broken, slow, or mean harm."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.requests import Request
from starlette.responses import Response

from app.knowledge.connectors.models import Entry, Gone
from app.knowledge.exceptions import SourceUnavailable, SourceUnusable
from tests.serving import serve
from tests.web_site import Site, Source, links

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A site without pages."""
    site = Site()
    async with serve(site) as site.url:
        yield site


@asynccontextmanager
async def raw_site(answer: Serve) -> AsyncIterator[Site]:
    """A site whose pages are whatever bytes a function writes; it has no robots.txt."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            if request.startswith(b"GET /robots.txt "):
                writer.write(NOT_FOUND)
            else:
                await answer(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield Site(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")


def sends(data: bytes) -> Serve:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return answer


def drips(beginning: bytes, drop: bytes) -> Serve:
    """Send something for five seconds, and nearly nothing at a time."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        for _drop in range(500):
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.01)

    return answer


# Slow, silent and broken answers


@pytest.mark.parametrize(
    "answer",
    [
        drips(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        drips(HEAD + b"Content-Length: 1000000\r\n\r\n", b"x"),
        drips(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drips(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        # Compressed, and yet nothing: the blocks are empty.
        drips(
            HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10], b"\0\0\0\xff\xff"
        ),
    ],
    ids=["header", "body", "chunks", "informational", "empty blocks"],
)
async def test_a_server_that_sends_bytes_without_end_is_left(
    answer: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.knowledge.connectors.web_client._DOCUMENT_SEC", 0.3)
    async with raw_site(answer) as site:
        with pytest.raises(SourceUnavailable, match="takes too long to answer"):
            await Source(site).fetch("page")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_server_that_says_nothing_is_left(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.knowledge.connectors.web_client._DOCUMENT_SEC", 0.3)
    done = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        site = Site(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        try:
            with pytest.raises(SourceUnavailable, match="takes too long to answer"):
                await Source(site).fetch("page")
        finally:
            done.set()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"220 ftp.example.org\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000,
        HEAD + b"Content-Length: 100\r\n\r\nonly this",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n",
    ],
    ids=["nothing", "no http", "half a header", "endless header", "cut off", "chunk", "length"],
)
async def test_a_broken_answer_is_tried_again_later(data: bytes) -> None:
    async with raw_site(sends(data)) as site:
        with pytest.raises(SourceUnavailable, match=r"can't be read .*: try again later"):
            await Source(site).fetch("page")


async def test_a_site_that_nobody_serves_is_tried_again_later(unused_url: str) -> None:
    site = Site(unused_url.removesuffix("/v1"))
    with pytest.raises(SourceUnavailable, match="connection refused"):
        await Source(site).start()


# Redirects and links without end


async def test_redirects_in_a_circle_are_noticed(site: Site) -> None:
    site.put("/a", status=302, location="/b")
    site.put("/b", status=302, location="/a")
    with pytest.raises(SourceUnusable, match="/a redirects in a circle"):
        await Source(site).fetch("a")
    assert site.asked() == ["/a", "/b"]


async def test_five_redirects_are_followed_and_no_more(site: Site) -> None:
    for number in range(9):
        site.put(f"/{number}", status=302, location=f"/{number + 1}")
    site.put("/9", "the end")
    source = Source(site)
    assert await source.fetch("4") == Gone("leads to 9", Entry("9", url=f"{site.url}/9"))
    with pytest.raises(SourceUnusable, match="by more than 5 redirects"):
        await source.fetch("3")


@pytest.mark.parametrize(
    "location", ["http://[::1", "http:x", "javascript:alert(1)", "http://a:b/"]
)
async def test_a_redirect_to_nowhere_is_no_page(site: Site, location: str) -> None:
    site.put("/page", status=302, location=location)
    assert await Source(site).gone("page") == (
        "redirects to something that is not an address of the web"
    )


async def test_an_endless_calendar_ends_at_the_limits(site: Site) -> None:
    def day(request: Request) -> Response:
        number = int(request.query_params["day"])
        return Response(
            f'<a href="?day={number + 1}">next</a><a href="?day={number + 1}&view=week">week</a>',
            headers={"content-type": "text/html"},
        )

    for number in range(100):
        site.answers[f"/calendar?day={number}"] = day
        site.answers[f"/calendar?day={number}&view=week"] = day
    by_depth = await Source(site, "/calendar?day=0", max_depth=4).crawl()
    assert len(by_depth) == 1 + 2 * 4
    by_pages = await Source(site, "/calendar?day=0", max_depth=20, max_pages=12).crawl()
    assert len(by_pages) == 12


async def test_paths_that_grow_with_each_link_end_at_their_length(site: Site) -> None:
    deep = "deeper/" * 71
    site.put(f"/{deep}", '<a href="deeper/">more</a>')
    assert len(deep) == 497
    assert links(await Source(site).fetched(deep)) == []


# Compression


@pytest.mark.parametrize(
    ("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_a_compressed_page_counts_as_it_is_after_decompression(
    site: Site, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    site.put("/page", compress(b"text"), content_encoding=coding)
    site.put("/bomb", compress(b"x" * 50_000_000), content_encoding=coding)
    source = Source(site)
    assert (await source.fetched("page")).content.data == b"text"
    assert (await source.gone("bomb")).startswith("is larger than 1 MB")


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "nonsense"])
async def test_a_compression_that_was_not_asked_for_is_refused(site: Site, coding: str) -> None:
    site.put("/page", gzip.compress(gzip.compress(b"x")), content_encoding=coding)
    with pytest.raises(SourceUnusable, match="is compressed in a way that wasn't asked for"):
        await Source(site).fetch("page")


async def test_a_page_that_can_not_be_decompressed_is_refused(site: Site) -> None:
    site.put("/page", b"no gzip", content_encoding="gzip")
    with pytest.raises(SourceUnusable, match="sends what can't be decompressed"):
        await Source(site).fetch("page")


# Charsets and HTML


@pytest.mark.parametrize(
    ("charset", "declared", "meta"),
    [
        ("utf-8", "utf-8", ""),
        ("utf-8", "iso-8859-1", ""),
        ("utf-8", "nonsense", "<meta charset=latin1>"),
        ("cp1251", "windows-1251", ""),
        ("cp1251", "", "<meta charset=windows-1251>"),
        ("cp1251", "no/thing", "<meta charset=windows-1251>"),
        ("cp1251", "hex", "<meta charset=windows-1251>"),
        ("utf-16", "utf-16", ""),
        ("utf-16", "", ""),
    ],
)
async def test_links_are_found_in_any_charset_however_it_is_declared(
    site: Site, charset: str, declared: str, meta: str
) -> None:
    kind = f"text/html; charset={declared}" if declared else "text/html"
    site.put("/page", f'<html><head>{meta}</head><a href="/ж">Ж</a>'.encode(charset), kind=kind)
    assert links(await Source(site).fetched("page")) == ["%D0%B6"]


@pytest.mark.parametrize(
    "page",
    [
        b'<a href="/a">' + b"<div>" * 150_000,
        b"<div>" * 100_000 + b'<a href="/a">',
        b'<a href="/a">A</a><a href="/cut-off',
        b'<a href="/a"><a href="' + b"x" * 500_000,
        b'<p \0 \0><a href="/a">\0',
        b'<a href="/a"><![CDATA[<!-- <script> <a',
        b"\xfc\xfd\xfe" + b'<a href="/a">' + bytes(range(256)),
        b'<a href="http://["><a href="http://\xff/"><a href="/a"><a href="//x y/">',
        b"<a " + b" ".join(b"x%d=1" % number for number in range(50_000)) + b' href="/a">',
    ],
    ids=[
        "deep",
        "deeper",
        "cut off",
        "long attribute",
        "nul",
        "comments",
        "bytes",
        "bad link",
        "attributes",
    ],
)
async def test_links_are_found_in_hostile_html(site: Site, page: bytes) -> None:
    site.put("/page", page)
    assert links(await Source(site).fetched("page")) == ["a"]


@pytest.mark.parametrize("page", [b"", b" ", b"\0", b"\xff\xfe", b"<"])
async def test_a_page_with_nothing_in_it_has_no_links(site: Site, page: bytes) -> None:
    site.put("/page", page)
    result = await Source(site).fetch("page")
    assert not isinstance(result, Gone)
    assert links(result) == []


async def test_links_are_looked_at_up_to_a_limit(site: Site) -> None:
    foreign = b"".join(b"<a href=https://x.test/%d>" % number for number in range(10_000))
    site.put("/page", foreign + b'<a href="/too-late">')
    assert links(await Source(site).fetched("page")) == []


async def test_cookies_are_not_sent_back(site: Site) -> None:
    site.put("/page", status=302, location="/next", set_cookie="session=1; path=/")
    site.put("/next", "text")
    assert isinstance(await Source(site).fetch("page"), Gone)
    assert all("cookie" not in request.headers for request in site.requests)
