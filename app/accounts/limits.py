"""How often somebody may ask, counted in PostgreSQL: all processes count together, by its clock.

A window begins with the first request that is counted in it. Requests that are refused count, too.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final
from uuid import UUID

from app.accounts.exceptions import TooManyRequests
from app.core.database import Database, Queries

__all__ = ["Allowance", "Limit", "account_limits", "address_limit", "count_request", "login_limits"]

MINUTE_SEC: Final = 60
HOUR_SEC: Final = 3600
# A school or an office has one address for many people.
ACCOUNTS_OF_AN_ADDRESS: Final = 10
# Whoever has one IPv6 address has all that begin with the same 64 bits.
IPV6_HOST_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `requests` in `window_sec` seconds for `owner`: what they are for, and whose."""

    owner: str
    requests: int
    window_sec: int

    @property
    def key(self) -> str:
        """What it is stored under: as long for everybody, and nobody's address in plain sight."""
        return sha256(self.owner.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a limit: `remaining` requests, until all are back in `reset_sec` seconds."""

    limit: int
    remaining: int
    reset_sec: int

    @property
    def headers(self) -> dict[str, str]:
        """The allowance as a response tells it."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(max(self.remaining, 0)),
            "RateLimit-Reset": str(self.reset_sec),
        }


def account_limits(account_id: UUID, host: str | None, requests_per_minute: int) -> list[Limit]:
    """The limits of a request that an account sends; its tokens share the account's."""
    return [
        Limit(f"account {account_id}", requests_per_minute, MINUTE_SEC),
        address_limit(host, requests_per_minute),
    ]


def address_limit(host: str | None, requests_per_minute: int) -> Limit:
    """The limit of all requests that come from one address, whosever they are."""
    return Limit(
        f"address {_network(host)}", requests_per_minute * ACCOUNTS_OF_AN_ADDRESS, MINUTE_SEC
    )


def login_limits(email: str, host: str | None, requests_per_hour: int) -> list[Limit]:
    """The limits of asking for a link: so many from one address, and so many to one mailbox."""
    return [
        Limit(f"login address {_network(host)}", requests_per_hour, HOUR_SEC),
        Limit(f"login email {email}", requests_per_hour, HOUR_SEC),
    ]


async def count_request(database: Database, limits: Collection[Limit]) -> Allowance:
    """Count a request for each of the limits, in one statement; return what the tightest leaves.

    Raises:
        TooManyRequests: it exceeds one of them.
    """
    by_key = {limit.key: limit for limit in limits}
    given = [{"key": limit.key, "window_sec": limit.window_sec} for limit in limits]
    rows = await database.run_statement(_count, json.dumps(given))
    if any(row["count"] == 1 for row in rows):
        # More go than come, and it costs nothing while a window lasts.
        await database.run_statement(_delete_ended)
    allowances = [_allowance(by_key[row["key"]], row) for row in rows]
    exceeded = [allowance for allowance in allowances if allowance.remaining < 0]
    if exceeded:
        longest = max(exceeded, key=lambda allowance: allowance.reset_sec)
        raise TooManyRequests(longest.reset_sec, longest.headers)
    return min(allowances, key=lambda allowance: allowance.remaining)


def _count(queries: Queries, limits: str) -> list[dict[str, Any]]:
    return list(queries.count_requests(limits=limits))


def _delete_ended(queries: Queries) -> None:
    queries.delete_ended_windows()


def _allowance(limit: Limit, row: dict[str, Any]) -> Allowance:
    return Allowance(limit.requests, limit.requests - row["count"], row["reset_sec"])


def _network(host: str | None) -> str:
    """Return what all addresses of one machine have in common; one for all that have none."""
    try:
        address: IPv4Address | IPv6Address = ip_address((host or "").partition("%")[0])
    except ValueError:
        return host or "none"
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> IPV6_HOST_BITS << IPV6_HOST_BITS))
