"""Nothing that a site's address, its name or its redirects say leads into a private network."""

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpcore2
import pytest
from starlette.responses import Response

from app.knowledge.connectors.config import WebConfig
from app.knowledge.connectors.web import WebConnector
from app.knowledge.connectors.web_guard import Address, is_public
from app.knowledge.exceptions import SourceUnavailable, SourceUnusable
from tests.serving import serve
from tests.web_site import Site, Source, paths

PUBLIC = "93.184.216.34"

# For docs.example.org, self-signed, until 2126.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBqjCCAVCgAwIBAgIUVh8Bj6WJq1fBE6cVPKqV7xzx5iYwCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQZG9jcy5leGFtcGxlLm9yZzAgFw0yNjExMjAxNTI1MTdaGA8y
MTI2MTAyNzE1MjUxN1owGzEZMBcGA1UEAwwQZG9jcy5leGFtcGxlLm9yZzBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABMIPqKRVHWPNGecnH4DkJAnPEWR7T6ScLlKX
dozSs3yCPN22hy61jtImoqGVhDwvjfIrn2+kaE39gwgzp8r9VfKjcDBuMB0GA1Ud
DgQWBBQZYnOnrlZ/fHGu3uo8FZZsIN8USTAfBgNVHSMEGDAWgBQZYnOnrlZ/fHGu
3uo8FZZsIN8USTAPBgNVHRMBAf8EBTADAQH/MBsGA1UdEQQUMBKCEGRvY3MuZXhh
bXBsZS5vcmcwCgYIKoZIzj0EAwIDSAAwRQIhAL3LRVOOc+Fjbf2NUdCv6TfekNHo
tteZEsoLz2ti3pHnAiAogpdc8o3LvTPVBB6YenPVWNuBQ7Fs6QACzn1VJgXQuQ==
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6zTyuK2YMMf8d9oi
DD3kCWcN+MJOyGOtC40jhUtuI5ahRANCAATCD6ikVR1jzRnnJx+A5CQJzxFke0+k
nC5Sl3aM0rN8gjzdtocutY7SJqKhlYQ8L43yK59vpGhN/YMIM6fK/VXy
-----END PRIVATE KEY-----
"""


class Names:
    """A resolver with one answer after the other; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, timeout: float) -> list[Address]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ip_address(text) for text in answer]


def start(url: str, **options: Any) -> list[str]:
    config = WebConfig(kind="web", url=url)
    with WebConnector(config, max_bytes=1_000_000, **options) as connector:
        return paths(connector.start({}))


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that connections were tried to; all are refused."""
    tried: list[str] = []

    def connect(_: object, host: str, *args: Any, **kwargs: Any) -> httpcore2.NetworkStream:
        tried.append(host)
        raise httpcore2.ConnectError("[Errno 111] Connection refused")

    monkeypatch.setattr(httpcore2.SyncBackend, "connect_tcp", connect)
    return tried


@pytest.mark.parametrize(
    "address", [PUBLIC, "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.1.2.3",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1.1.1.1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
        "4000::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%2",
        "fec0::1",
        "ff02::1",
    ],
)
def test_an_address_of_any_other_network_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
        "[fe80::1]",
    ],
)
def test_a_private_address_is_refused_however_it_is_written(
    host: str, connected: list[str]
) -> None:
    with pytest.raises(SourceUnusable, match="WEB_ALLOW_PRIVATE_ADDRESSES=true"):
        start(f"http://{host}/")
    assert connected == []


@pytest.mark.parametrize("answer", [["127.0.0.1"], [PUBLIC, "10.0.0.1"], ["::1", PUBLIC]])
def test_a_name_with_any_private_address_is_refused(
    answer: list[str], connected: list[str]
) -> None:
    with pytest.raises(SourceUnusable, match=r"'docs\.example\.org' is in a private network"):
        start("https://docs.example.org/", resolve=Names(answer))
    assert connected == []


def test_the_connection_goes_to_the_very_address_that_was_checked(connected: list[str]) -> None:
    # A second look would find another address.
    names = Names([PUBLIC, "1.1.1.1"], ["127.0.0.1"])
    with pytest.raises(SourceUnavailable, match="connection refused"):
        start("http://docs.example.org/", resolve=names)
    assert connected == [PUBLIC, "1.1.1.1"]
    assert names.asked == ["docs.example.org"]


async def test_a_name_that_becomes_private_later_is_refused_then() -> None:
    site = Site()
    # Each answer ends its connection, so that the next request resolves the name again.
    site.answers["/robots.txt"] = lambda _: Response("", headers={"connection": "close"})
    site.put("/", "<p>secret")
    async with serve(site) as url:
        names = Names(["127.0.0.1"], ["169.254.169.254"])
        port = url.rpartition(":")[2]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "app.knowledge.connectors.web_guard.is_public",
                lambda address: str(address) == "127.0.0.1",
            )
            with pytest.raises(SourceUnusable, match="is in a private network"):
                await anyio.to_thread.run_sync(
                    lambda: start(f"http://docs.example.org:{port}/", resolve=names)
                )
    assert site.asked() == []


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost/",
        "http://2130706433/",
        "http://[::1]/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:11211/_stats",
    ],
)
async def test_a_redirect_out_of_the_site_is_not_followed(target: str) -> None:
    site = Site()
    async with serve(site) as site.url:
        site.put("/page", status=302, location=target)
        reason = await Source(site).gone("page")
    assert reason.startswith("redirects to")


async def test_private_networks_are_read_when_they_are_allowed() -> None:
    site = Site()
    async with serve(site) as site.url:
        site.put("/", "<p>hello")
        assert paths(await Source(site).start()) == ["index"]


async def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    site = Site()
    async with serve(site) as site.url:
        site.put("/", "<p>hello")
        assert paths(await Source(site).start()) == ["index"]


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    site = Site()
    async with serve(site) as url:
        site.url = url.replace("127.0.0.1", "docs.example.org")
        site.put("/", "<p>hello")
        source = Source(site)
        # Nothing listens there: the site has 127.0.0.1 for itself.
        source.options["resolve"] = Names(["127.0.0.2", "127.0.0.1"])
        assert paths(await source.start()) == ["index"]
    assert {request.headers["host"] for request in site.requests} == {
        site.url.removeprefix("http://")
    }


class TlsSite:
    """A server with the certificate of docs.example.org."""

    def __init__(self, folder: Path) -> None:
        (folder / "certificate.pem").write_text(CERTIFICATE)
        (folder / "key.pem").write_text(KEY)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
        self.context.sni_callback = lambda _, name, __: self.names.append(name)
        self.names: list[str] = []
        self.is_slow = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 300\r\n"
            b"Connection: close\r\n\r\n"
        )
        with suppress(ConnectionError):
            for _ in range(300):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01 if self.is_slow else 0)
            writer.close()
            await writer.wait_closed()


@pytest.fixture
def tls_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TlsSite:
    site = TlsSite(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    return site


@pytest.mark.parametrize(
    ("host", "error"), [("docs.example.org", None), ("other.example.org", SourceUnavailable)]
)
async def test_tls_verifies_the_name_and_not_the_address(
    tls_site: TlsSite, host: str, error: type[Exception] | None
) -> None:
    server = await asyncio.start_server(tls_site.answer, "127.0.0.1", 0, ssl=tls_site.context)
    async with server:
        url = f"https://{host}:{server.sockets[0].getsockname()[1]}/"

        def read() -> list[str]:
            return start(url, allow_private=True, resolve=Names(["127.0.0.1"]))

        if error is None:
            assert await anyio.to_thread.run_sync(read) == ["index"]
        else:
            with pytest.raises(error, match="certificate"):
                await anyio.to_thread.run_sync(read)
    assert set(tls_site.names) == {host}


async def test_slow_bytes_are_noticed_under_tls_too(
    tls_site: TlsSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.knowledge.connectors.web_client._DOCUMENT_SEC", 0.5)
    tls_site.is_slow = True
    server = await asyncio.start_server(tls_site.answer, "127.0.0.1", 0, ssl=tls_site.context)
    async with server:
        url = f"https://docs.example.org:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(SourceUnavailable, match="takes too long to answer"):
            await anyio.to_thread.run_sync(
                lambda: start(url, allow_private=True, resolve=Names(["127.0.0.1"]))
            )


def test_a_host_that_does_not_exist_is_said_to_be_unknown() -> None:
    with pytest.raises(SourceUnavailable, match="can't be found: check the address"):
        start("https://docs..example.invalid/")
