"""What it adds to a request to find out who sends it, and to count it."""

import http.client
import time
from uuid import UUID

from app.accounts.sessions import begin_session
from app.core.database import Queries
from app.resources.database import open_database
from benchmarks.environment import Environment, milliseconds
from benchmarks.result import Result
from settings import Settings

__all__ = ["accounts"]

CALLS = 1_000
WARM_UP_CALLS = 50
# Nothing is there to be listed: all that differs is who asks.
PATH = "/v1/messages"


async def accounts(environment: Environment) -> list[Result]:
    """Measure a request with `AUTH=required`, limits included, and with `AUTH=off`, in turns."""
    async with (
        open_database(environment.settings) as database,
        environment.server(AUTH="off") as open_url,
        environment.server(AUTH="required", REQUESTS_PER_MINUTE="1000000") as secured_url,
    ):
        token = await database.run(_log_in, environment.settings)
        # As in `answers`: what a client takes is not the service's own time.
        services = {
            url: http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
            for url in (open_url, secured_url)
        }
        times: dict[str, list[float]] = {url: [] for url in services}
        for number in range(WARM_UP_CALLS + CALLS):
            for url, service in services.items():
                began = time.perf_counter()
                _get(service, token)
                if number >= WARM_UP_CALLS:
                    times[url].append(time.perf_counter() - began)
    without, with_both = milliseconds(times[open_url]), milliseconds(times[secured_url])
    return [
        Result(
            "authentication and limits, added to the median of a request",
            with_both - without,
            "ms",
            at_most=2,
            parts=f"{with_both:.2f} ms - {without:.2f} ms",
        )
    ]


def _log_in(queries: Queries, settings: Settings) -> str:
    account_id: UUID = queries.insert_account(email="ann@example.org", role="user")["id"]
    return begin_session(queries, settings, account_id).token


def _get(service: http.client.HTTPConnection, token: str) -> None:
    service.request("GET", PATH, headers={"Authorization": f"Bearer {token}"})
    response = service.getresponse()
    body = response.read()
    assert response.status == http.HTTPStatus.OK, body
