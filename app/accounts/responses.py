"""What OpenAPI says of routes that ask who sends a request; a route may say it better."""

from typing import Any, Final

from app.core.models import ErrorResponse

__all__ = ["NEEDS_SCOPE", "NEEDS_TOKEN"]

Responses = dict[int | str, dict[str, Any]]

NEEDS_TOKEN: Final[Responses] = {
    401: {"model": ErrorResponse, "description": "There is no valid token."},
    429: {
        "model": ErrorResponse,
        "description": "Too many requests, or tokens: `Retry-After` says for how many seconds.",
    },
    503: {"model": ErrorResponse, "description": "The database is unavailable, or busy."},
}
NEEDS_SCOPE: Final[Responses] = NEEDS_TOKEN | {
    403: {
        "model": ErrorResponse,
        "description": "The token lacks a scope, or you may not do this.",
    },
    422: {"model": ErrorResponse, "description": "The request is not valid."},
}
