"""What responses that are none mean, in words that say what to do."""

import contextlib
import json
import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from app.cli.errors import RequestFailed
from app.cli.printing import printable

__all__ = ["refused", "unreachable"]

UNKNOWN_CALLER = (
    "{name} wants a token that is good there: give it as BRAG_TOKEN or --token. Whoever runs the "
    "server makes one with `brag users token EMAIL`, and anybody can on its page."
)
STRANGE = "{name} answered with HTTP {status}, and not as bRAG does. Check --url."
MAX_REASON_CHARACTERS = 200


def refused(response: httpx2.Response, name: str) -> RequestFailed:
    """Return what a response says that is no success."""
    status = response.status_code
    retry_after_sec = _retry_after(response.headers.get("retry-after", ""))
    try:
        given = json.loads(response.content)["error"]
        code, message, details = str(given["code"]), str(given["message"]), given["details"] or {}
    except (ValueError, TypeError, KeyError, RecursionError):
        code, details = "bad_answer", {}
        message = STRANGE.format(name=name, status=status)
        if response.has_redirect_location:
            location = printable(response.headers["location"])[:MAX_REASON_CHARACTERS]
            message = f"{name} leads to {location}. Give that as --url, up to its host or folder."
    if status == httpx2.codes.UNAUTHORIZED:
        message = UNKNOWN_CALLER.format(name=name)
    elif retry_after_sec is not None:
        message = f"{message} Try again in {math.ceil(retry_after_sec)} s."
    return RequestFailed(
        code, message, _object(details), status=status, retry_after_sec=retry_after_sec
    )


def unreachable(error: Exception, name: str) -> RequestFailed:
    """Return what a connection that failed means."""
    reason = printable(str(error))[:MAX_REASON_CHARACTERS]
    match error:
        case httpx2.ConnectTimeout():
            return RequestFailed("unreachable", f"{name} does not answer. Check --url.")
        case httpx2.ConnectError():
            return RequestFailed(
                "unreachable",
                f"{name} can't be reached ({reason}). Does it run, and is --url right?",
            )
        case httpx2.UnsupportedProtocol() | httpx2.ProxyError():
            return RequestFailed("unusable_url", f"{name} can't be asked: {reason}")
        case httpx2.ReadTimeout() | TimeoutError():
            return RequestFailed("connection_lost", f"{name} has not answered in time.")
    return RequestFailed("connection_lost", f"The connection to {name} broke off ({reason}).")


def _retry_after(value: str) -> float | None:
    if value.isdecimal():
        return float(value)
    with contextlib.suppress(ValueError, TypeError):
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0)
    return None


def _object(details: Any) -> dict[str, Any]:
    return details if isinstance(details, dict) else {}
