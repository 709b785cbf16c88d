"""How much somebody may use, counted in PostgreSQL: all processes count together, by its clock.

Requests are limited per minute, a language model's tokens per day. A window begins with the first
use that is counted in it. Requests that are refused count, too, but for nobody beyond whoever has
sent too many: an API token with a limit of its own uses up nothing of its account's, and an account
nothing of the address that it shares with others.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final
from uuid import UUID

from app.accounts.exceptions import TokensUsedUp, TooManyRequests
from app.core.database import Database, Queries

__all__ = [
    "Allowance",
    "Holder",
    "Limit",
    "Unit",
    "account_limits",
    "address_limit",
    "count_request",
    "login_limits",
    "spend_tokens",
    "token_limit",
    "verification_limit",
]

MINUTE_SEC: Final = 60
HOUR_SEC: Final = 3600
DAY_SEC: Final = 86_400
# A school or an office has one address for many people.
ACCOUNTS_OF_AN_ADDRESS: Final = 10
# Whoever has one IPv6 address has all that begin with the same 64 bits.
IPV6_HOST_BITS: Final = 64


class Unit(StrEnum):
    """What is limited."""

    REQUESTS = "requests"
    TOKENS = "tokens"

    @property
    def window_sec(self) -> int:
        """For how long an account's limit is, in seconds."""
        return MINUTE_SEC if self is Unit.REQUESTS else DAY_SEC


class Holder(IntEnum):
    """Whose a limit is; a request that exceeds one is not counted for the holders after that."""

    TOKEN = 0
    ACCOUNT = 1
    ADDRESS = 2


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` in `window_sec` seconds for `owner`: what it is for, and whose."""

    owner: str
    amount: int
    window_sec: int
    unit: Unit = Unit.REQUESTS
    holder: Holder = Holder.ACCOUNT

    @property
    def key(self) -> str:
        """What it is stored under: as long for everybody, and nobody's address in plain sight."""
        return sha256(f"{self.unit} {self.owner}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a limit: `remaining`, until all is back in `reset_sec` seconds."""

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


def account_limits(
    account_id: UUID, host: str | None, amount: int, unit: Unit = Unit.REQUESTS
) -> list[Limit]:
    """The limits of what an account uses, with all of its tokens; 0 is any number."""
    if not amount:
        return []
    return [
        Limit(f"account {account_id}", amount, unit.window_sec, unit),
        address_limit(host, amount, unit),
    ]


def token_limit(token_id: UUID, amount: int, unit: Unit) -> Limit:
    """The limit of an API token's own, below its account's."""
    return Limit(f"token {token_id}", amount, unit.window_sec, unit, Holder.TOKEN)


def address_limit(host: str | None, amount: int, unit: Unit = Unit.REQUESTS) -> Limit:
    """The limit of all that comes from one address, whosever it is."""
    return Limit(
        f"address {_network(host)}",
        amount * ACCOUNTS_OF_AN_ADDRESS,
        unit.window_sec,
        unit,
        Holder.ADDRESS,
    )


def login_limits(email: str, host: str | None, requests_per_hour: int) -> list[Limit]:
    """The limits of asking for a link: so many from one address, and so many to one mailbox."""
    return [
        Limit(f"login address {_network(host)}", requests_per_hour, HOUR_SEC),
        Limit(f"login email {email}", requests_per_hour, HOUR_SEC),
    ]


def verification_limit(host: str | None, requests_per_hour: int) -> Limit:
    """The limit of trying links: as many in a minute as an address may ask for in an hour.

    Nobody guesses one at that rate, and whoever shares the address with somebody who tries to has
    to wait for a minute only.
    """
    return Limit(f"verification address {_network(host)}", requests_per_hour, MINUTE_SEC)


async def count_request(database: Database, limits: Collection[Limit]) -> Allowance:
    """Count a request, in one statement; return what the tightest of the limits leaves.

    It counts for limits of requests; of tokens, there have to be some left. The narrowest holder
    comes first: what exceeds its limits is not counted for those after it.

    Raises:
        TooManyRequests: it exceeds one of them.
        TokensUsedUp: there are no tokens left.
    """
    by_key = {limit.key: limit for limit in limits}
    rows = await database.run_statement(_use, map(_counted, limits))
    if any(row["used"] == 1 for row in rows):
        # More go than come, and it costs nothing while a window lasts.
        await database.run_statement(_delete_ended)
    allowances = [(by_key[row["key"]].unit, _allowance(by_key[row["key"]], row)) for row in rows]
    exceeded = [
        (allowance.reset_sec, unit, allowance)
        for unit, allowance in allowances
        if allowance.remaining < (1 if unit is Unit.TOKENS else 0)
    ]
    if exceeded:
        reset_sec, unit, allowance = max(exceeded, key=lambda one: one[0])
        error = TokensUsedUp if unit is Unit.TOKENS else TooManyRequests
        raise error(reset_sec, allowance.headers)
    # That of requests: numbers of both can't be compared.
    return min(allowances, key=lambda one: (one[0] is Unit.TOKENS, one[1].remaining))[1]


def spend_tokens(queries: Queries, limits: Collection[Limit], tokens: int) -> None:
    """Count what an answer has used, in one statement of the transaction that stores it.

    The answer is there, so nobody is refused: the next one is, once a limit is reached. Others wait
    for the rows until the transaction ends, so it should come last.
    """
    _use(queries, (_given(limit, cost=tokens, most=None) for limit in limits))


def _counted(limit: Limit) -> dict[str, Any]:
    if limit.unit is Unit.TOKENS:
        return _given(limit, cost=0, most=limit.amount - 1)
    return _given(limit, cost=1, most=limit.amount)


def _given(limit: Limit, *, cost: int, most: int | None) -> dict[str, Any]:
    return {
        "step": limit.holder,
        "key": limit.key,
        "cost": cost,
        "most": most,
        "window_sec": limit.window_sec,
    }


def _use(queries: Queries, given: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(queries.use_limits(limits=json.dumps(list(given))))


def _delete_ended(queries: Queries) -> None:
    queries.delete_ended_windows()


def _allowance(limit: Limit, row: dict[str, Any]) -> Allowance:
    return Allowance(limit.amount, limit.amount - row["used"], row["reset_sec"])


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
