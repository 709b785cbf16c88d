"""What passing a chat completion through adds to the language model's first token."""

import http.client
import json
import statistics
import time
from collections.abc import Sequence
from uuid import UUID

from app.accounts.sessions import begin_session
from app.core.database import Queries
from app.resources.database import open_database
from benchmarks.environment import Environment
from benchmarks.result import Result
from settings import Settings

__all__ = ["passthrough"]

CALLS = 500
WARM_UP_CALLS = 50
BODY = json.dumps(
    {
        "model": "bench",
        "stream": True,
        "messages": [{"role": "user", "content": "What is the answer to this question? " * 20}],
    }
)


async def passthrough(environment: Environment) -> list[Result]:
    """Time the first token from the upstream, through bRAG, and with limits, in turns."""
    async with (
        environment.upstream() as upstream_url,
        open_database(environment.settings) as database,
        environment.server(
            AUTH="off", OPENAI_BASE_URL=upstream_url, OPENAI_MODELS="bench"
        ) as open_url,
        environment.server(
            AUTH="required",
            OPENAI_BASE_URL=upstream_url,
            OPENAI_MODELS="bench",
            REQUESTS_PER_MINUTE="1000000",
            TOKENS_PER_DAY="1000000000",
        ) as secured_url,
    ):
        token = await database.run(_log_in, environment.settings)
        urls = (upstream_url.removesuffix("/v1"), open_url, secured_url)
        # As in `answers`: what a client takes is not the service's own time.
        services = [
            http.client.HTTPConnection(url.removeprefix("http://"), timeout=30) for url in urls
        ]
        times: list[list[float]] = [[] for _ in services]
        for number in range(WARM_UP_CALLS + CALLS):
            for service, taken in zip(services, times, strict=True):
                seconds = _first_token(service, token)
                if number >= WARM_UP_CALLS:
                    taken.append(seconds)
    direct, *through = times
    return [
        result
        for name, taken in zip(("AUTH=off", "AUTH=required and limits"), through, strict=True)
        for result in _results(name, direct, taken)
    ]


def _results(name: str, direct: Sequence[float], through: Sequence[float]) -> list[Result]:
    targets = {50: 3.0 if name == "AUTH=off" else None, 95: None}
    return [
        Result(
            f"first token passed through with {name}, added at p{percent}",
            _percentile(through, percent) - _percentile(direct, percent),
            "ms",
            at_most=target,
            parts=f"{_percentile(through, percent):.2f} ms - {_percentile(direct, percent):.2f} ms",
        )
        for percent, target in targets.items()
    ]


def _first_token(service: http.client.HTTPConnection, token: str) -> float:
    """Return the seconds from the request to the first event with a text."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    began = time.perf_counter()
    try:
        service.request("POST", "/v1/chat/completions", BODY, headers)
    except BrokenPipeError:
        # It was idle for so long that the server has closed it.
        service.close()
        began = time.perf_counter()
        service.request("POST", "/v1/chat/completions", BODY, headers)
    response = service.getresponse()
    assert response.status == http.HTTPStatus.OK, response.read()
    while b'"content": "' not in (line := response.readline()):
        assert line, "no token came"
    seconds = time.perf_counter() - began
    response.read()
    return seconds


def _percentile(seconds: Sequence[float], percent: int) -> float:
    """Return it in milliseconds."""
    return statistics.quantiles(seconds, n=100)[percent - 1] * 1000


def _log_in(queries: Queries, settings: Settings) -> str:
    account_id: UUID = queries.insert_account(email="ann@example.org", role="user")["id"]
    return begin_session(queries, settings, account_id).token
