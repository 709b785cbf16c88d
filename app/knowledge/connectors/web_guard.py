"""Connections to public addresses only, whatever a name resolves to, and none for ever.

A source's address comes from a user, and a page's links from anybody: neither may make the server
read its own network (server-side request forgery). A check before the request would not do, for a
name can resolve to something else a moment later. So the check is made where the connection is:
a name is resolved once, all its addresses are looked at, and one of these is connected to. TLS
still verifies the name.
"""

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

import httpcore2
import httpx2

from app.knowledge.exceptions import SourceUnavailable, SourceUnusable

__all__ = ["Address", "Deadline", "GuardedTransport", "Resolve", "is_public", "resolve"]

Address = IPv4Address | IPv6Address
# Host, port, seconds → all its addresses.
Resolve = Callable[[str, int, float], Sequence[Address]]

# Public by their form, and yet a cloud's inside: Azure's, Oracle's metadata; 6to4 relays.
_INSIDE: Final = tuple(
    IPv4Network(network) for network in ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24")
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_6TO4: Final = IPv6Network("2002::/16")
_NAT64: Final = IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet.

    Private, loopback, link-local, multicast, reserved, carrier-grade NAT's and metadata addresses
    do not, nor do IPv6 addresses that lead to such IPv4 addresses (mapped, NAT64, 6to4, Teredo).
    """
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(IPv4Address(address.packed[-4:]))
        return address in _GLOBAL_UNICAST and address not in _6TO4 and address.is_global
    if any(address in network for network in _INSIDE):
        return False
    return address.is_global and not address.is_multicast


def resolve(host: str, port: int, timeout: float) -> list[Address]:
    """Ask the system for all addresses of a host.

    Raises:
        SourceUnavailable: it has none, or nobody answers.
    """
    answers: queue.SimpleQueue[Sequence[Any] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:  # UnicodeError: not a name that can be asked for
            answers.put(error)

    # The system's resolver takes no timeout.
    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        answer = TimeoutError()
    if isinstance(answer, Exception):
        raise SourceUnavailable(f"The host {host!r} can't be found: check the address.") from answer
    return [ip_address(found[4][0]) for found in answer]


class Deadline:
    """The moment at which reading a document ends, however slowly its server sends."""

    def __init__(self) -> None:
        self._at = 0.0

    def start(self, seconds: float) -> None:
        """Give it so many seconds from now."""
        self._at = time.monotonic() + seconds

    def clip(self, timeout: float | None) -> float:
        """Return what is left of a timeout.

        Raises:
            httpcore2.ReadTimeout: nothing is.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the time for one document is up")
        return left if timeout is None else min(left, timeout)


class GuardedTransport(httpx2.HTTPTransport):
    """Connects to public addresses only, without a proxy, and never beyond the deadline."""

    def __init__(
        self, deadline: Deadline, *, allow_private: bool, resolve: Resolve = resolve
    ) -> None:
        ssl_context = httpx2.create_ssl_context()
        super().__init__(verify=ssl_context)
        # The constructor takes no network backend. (Tests fail if this is no longer the way in.)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=ssl_context,
            keepalive_expiry=5,
            network_backend=_Backend(deadline, allow_private, resolve),
        )


class _Backend(httpcore2.NetworkBackend):
    def __init__(self, deadline: Deadline, allow_private: bool, resolve: Resolve) -> None:
        self._deadline = deadline
        self._allow_private = allow_private
        self._resolve = resolve
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        addresses = self._resolve(host, port, self._deadline.clip(timeout))
        if not self._allow_private and not all(map(is_public, addresses)):
            raise SourceUnusable(
                f"The host {host!r} is in a private network, which bRAG doesn't read: "
                "if it should, set WEB_ALLOW_PRIVATE_ADDRESSES=true."
            )
        failure: Exception = httpcore2.ConnectError("it has no address")
        for address in addresses:
            try:
                stream = self._sockets.connect_tcp(
                    str(address), port, self._deadline.clip(timeout), local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return _TimedStream(stream, self._deadline)
        raise failure


class _TimedStream(httpcore2.NetworkStream):
    """A stream on which nothing waits beyond the deadline."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.clip(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.clip(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.clip(timeout))
        return _TimedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
