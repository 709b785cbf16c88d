"""GitHub's REST API as bRAG uses it: GET only, limits obeyed, every failure in plain words.

https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import httpx2
from pydantic import BaseModel, SecretStr, ValidationError

import app
from app.knowledge.exceptions import SourceUnavailable, SourceUnusable

__all__ = ["JSON", "RAW", "SHA", "Answer", "AnswerTooLarge", "GitHubApi"]

JSON: Final = "application/vnd.github+json"
RAW: Final = "application/vnd.github.raw+json"
SHA: Final = "application/vnd.github.sha"

CONNECT_TIMEOUT_SEC: Final = 10.0
READ_TIMEOUT_SEC: Final = 30.0
# A server that sends a byte now and then never meets the read timeout.
REQUEST_TIMEOUT_SEC: Final = 120.0
# Waiting longer is better done by the job queue, which has other work for this process.
PATIENCE_SEC: Final = 60.0
# What GitHub asks for when it doesn't say how long.
_UNTOLD_WAIT_SEC: Final = 60.0
# GitHub's windows are an hour long; more than a day is a mistake.
_LONGEST_WAIT_SEC: Final = 86_400.0
_MAX_REDIRECTS: Final = 5
# GitHub's own error messages have some hundred bytes.
_MAX_ERROR_BYTES: Final = 16_384
_MAX_REASON: Final = 200

_REDIRECTS: Final = frozenset({301, 302, 307, 308})
# Missing, an empty repository, no such reference: what they mean depends on the question.
_MEANINGFUL: Final = frozenset({200, 404, 409, 422})

_logger = logging.getLogger(__name__)


class AnswerTooLarge(Exception):
    """The body has more bytes than were allowed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said: status 200, 304, 404, 409 or 422; everything else is raised."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def is_ok(self) -> bool:
        """Whether there is a body to use."""
        return self.status == HTTPStatus.OK

    @property
    def is_not_modified(self) -> bool:
        """Whether the ETag that was sent is still the present one."""
        return self.status == HTTPStatus.NOT_MODIFIED


class _Refusal(BaseModel):
    message: str = ""


class GitHubApi:
    """A client for one job: its waits for rate limits are at most `PATIENCE_SEC` together.

    Proxies are taken from the environment, as everywhere on the machine.

    Raises:
        SourceUnusable: the token can't be one.
    """

    def __init__(self, api_url: str, token: SecretStr | None) -> None:
        headers = {
            "User-Agent": f"bRAG/{app.__version__}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        if token is not None:
            headers["Authorization"] = f"Bearer {_checked_token(token)}"
        self._has_token = token is not None
        self._base = httpx2.URL(api_url.rstrip("/") + "/")
        self._patience_sec = PATIENCE_SEC
        self._client = httpx2.Client(
            headers=headers,
            timeout=httpx2.Timeout(READ_TIMEOUT_SEC, connect=CONNECT_TIMEOUT_SEC),
            # By hand, since the token must not go to another host.
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def renew_patience(self) -> None:
        """Begin another job: it may wait for rate limits as long as the first one."""
        self._patience_sec = PATIENCE_SEC

    def get(
        self, path: str, *, max_bytes: int, accept: str = JSON, etag: str | None = None
    ) -> Answer:
        """Ask for a path below the API's URL, written as in a URL.

        Raises:
            AnswerTooLarge: the body is larger than `max_bytes`.
            SourceUnavailable: no usable answer now; `retry_after_sec` where GitHub tells it.
            SourceUnusable: GitHub refuses, and will do so again.
        """
        url = self._base.join(path)
        headers = {"Accept": accept}
        if etag and etag.isascii():
            headers["If-None-Match"] = etag
        redirects = 0
        # Grows, so that a server that says "now" for ever meets the end of the patience.
        least_wait_sec = 1.0
        while True:
            answer = self._send(url, headers, max_bytes)
            if answer.status in _REDIRECTS and redirects < _MAX_REDIRECTS:
                redirects += 1
                url = self._redirected(url, answer)
            elif (wait_sec := _wait_sec(answer)) is not None:
                self._wait(max(wait_sec, least_wait_sec))
                least_wait_sec *= 2
            else:
                self._check(answer, has_etag="If-None-Match" in headers)
                return answer

    def _send(self, url: httpx2.URL, headers: dict[str, str], max_bytes: int) -> Answer:
        try:
            with self._client.stream("GET", url, headers=headers) as response:
                ok = response.status_code == HTTPStatus.OK
                body = _read(response, max_bytes if ok else _MAX_ERROR_BYTES, whole=ok)
                return Answer(response.status_code, body, response.headers)
        except httpx2.TimeoutException as error:
            raise SourceUnavailable("GitHub did not answer in time.") from error
        except httpx2.ConnectError as error:
            raise SourceUnavailable(
                f"GitHub's API at {url.host} can't be reached: {error}"
            ) from error
        except httpx2.HTTPError as error:
            raise SourceUnavailable("GitHub's answer broke off or could not be read.") from error

    def _redirected(self, url: httpx2.URL, answer: Answer) -> httpx2.URL:
        """Follow a renamed repository, but never with the token to another place."""
        try:
            target = url.join(answer.headers.get("Location", ""))
        except httpx2.InvalidURL as error:
            raise SourceUnavailable("GitHub's API redirects to a place that is none.") from error
        if _origin(target) != _origin(self._base):
            raise SourceUnavailable(
                "GitHub's API redirects to another host, and bRAG does not follow there."
            )
        return target

    def _wait(self, wait_sec: float) -> None:
        if wait_sec > self._patience_sec:
            at = datetime.now(UTC) + timedelta(seconds=wait_sec)
            hint = "" if self._has_token else " With a token (SOURCE_TOKENS) it allows many more."
            raise SourceUnavailable(
                f"GitHub's rate limit allows no more requests until {at:%H:%M} UTC.{hint}",
                retry_after_sec=wait_sec,
            )
        _logger.info("GitHub's rate limit: waiting %.0f s", wait_sec)
        self._patience_sec -= wait_sec
        time.sleep(wait_sec)

    def _check(self, answer: Answer, *, has_etag: bool) -> None:
        status = answer.status
        if status in _MEANINGFUL or (answer.is_not_modified and has_etag):
            return
        if status == HTTPStatus.UNAUTHORIZED and self._has_token:
            raise SourceUnusable(
                "GitHub does not accept the token of this source: it is wrong or has expired. "
                "Put a new one into SOURCE_TOKENS."
            )
        if httpx2.codes.is_client_error(status) and status != HTTPStatus.REQUEST_TIMEOUT:
            raise SourceUnusable(f"GitHub refuses with status {status}: {_reason(answer)}")
        raise SourceUnavailable(
            f"GitHub's API does not work at the moment (status {status}).",
            retry_after_sec=_seconds(answer.headers.get("Retry-After")),
        )


def _checked_token(token: SecretStr) -> str:
    value = token.get_secret_value()
    # The HTTP client would quote a bad header, and so the token, in its error.
    if not (value.isascii() and value.isprintable() and value and " " not in value):
        raise SourceUnusable(
            "The token of this source (SOURCE_TOKENS) is empty or has characters that no token has."
        )
    return value


def _origin(url: httpx2.URL) -> tuple[str, str, int | None, bytes]:
    return url.scheme, url.host, url.port, url.userinfo


def _read(response: httpx2.Response, max_bytes: int, *, whole: bool) -> bytes:
    """Read a body after decompression; more than `max_bytes` is an error or is cut off."""
    deadline = time.monotonic() + REQUEST_TIMEOUT_SEC
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > max_bytes:
            if whole:
                raise AnswerTooLarge
            break
        if time.monotonic() > deadline:
            raise SourceUnavailable("GitHub's answer came too slowly.")
    return bytes(body[:max_bytes])


def _wait_sec(answer: Answer) -> float | None:
    """How long the rate limit holds; None when there is none in the way."""
    too_many = answer.status == HTTPStatus.TOO_MANY_REQUESTS
    if not too_many and answer.status != HTTPStatus.FORBIDDEN:
        return None
    retry_after = _seconds(answer.headers.get("Retry-After"))
    reset = _seconds(answer.headers.get("X-RateLimit-Reset"), limit=float("inf"))
    if retry_after is not None:
        wait_sec = retry_after
    elif answer.headers.get("X-RateLimit-Remaining") == "0" and reset is not None:
        wait_sec = reset - _server_time(answer)
    elif too_many or "rate limit" in _reason(answer).lower():
        wait_sec = _UNTOLD_WAIT_SEC
    else:
        return None
    return min(wait_sec, _LONGEST_WAIT_SEC)


def _seconds(text: str | None, *, limit: float = _LONGEST_WAIT_SEC) -> float | None:
    if text is None or not (text.isascii() and text.isdecimal()):
        return None
    return min(float(text), limit)


def _server_time(answer: Answer) -> float:
    """The server's clock, which the reset is told in; ours may be off."""
    try:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return time.time()


def _reason(answer: Answer) -> str:
    """GitHub's own words for a refusal, on one line."""
    try:
        message = _Refusal.model_validate_json(answer.body).message
    except ValidationError:
        message = ""
    return " ".join(message.split())[:_MAX_REASON] or "it gives no reason."
