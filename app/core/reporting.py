"""Sentry, when SENTRY_DSN is set: told of unexpected errors, and of nobody's words."""

from typing import TYPE_CHECKING, Any

import sentry_sdk
from sentry_sdk.integrations.fastapi import FastApiIntegration
from sentry_sdk.integrations.starlette import StarletteIntegration

import app
from app.core.logs import log_fields, request_id
from settings import Settings

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

__all__ = ["report_errors"]


def report_errors(settings: Settings) -> None:
    """Report the unexpected errors of this process, if it is wanted."""
    if settings.sentry_dsn is None:
        return
    # No request bodies: they are people's questions.
    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        environment=settings.environment,
        release=app.__version__,
        max_request_body_size="never",
        include_local_variables=False,
        before_send=_without_words,
        # Unexpected errors only. What an upstream refuses is an answer of ours, and its words
        # may quote prompts and keys: the integrations that are found by the installed
        # packages would report them, and these two would by their status codes.
        auto_enabling_integrations=False,
        integrations=[
            StarletteIntegration(failed_request_status_codes=set()),
            FastApiIntegration(failed_request_status_codes=set()),
        ],
    )


def _without_words(event: "Event", _: "Hint") -> "Event":
    """Add whose log lines belong to it; leave out what others' exceptions say, and queries.

    A parser's exception may quote the document, a query string what somebody looks for.
    """
    tags = {"request_id": request_id.get(), **log_fields.get()}
    event.setdefault("tags", {}).update(
        {name: value for name, value in tags.items() if value is not None}
    )
    exceptions: list[dict[str, Any]] = event.get("exception", {}).get("values", [])
    for exception in exceptions:
        if not str(exception.get("module", "")).startswith("app."):
            exception["value"] = ""
    event.get("request", {}).pop("query_string", None)
    return event
