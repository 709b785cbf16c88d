"""Pages of other origins that may call the API from a browser."""

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

__all__ = ["allow_origins"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "X-CSRF-Token",
    "Idempotency-Key",
    "Last-Event-ID",
    # What MCP's clients send with every call.
    "MCP-Protocol-Version",
    "Mcp-Method",
    "Mcp-Name",
)
RESPONSE_HEADERS = (
    "Link",
    "Location",
    "Idempotent-Replayed",
    "X-Request-ID",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
)


def allow_origins(api: FastAPI, origins: Sequence[str]) -> None:
    """Let pages of these origins call the API and read its answers; `*` are all, without cookies.

    Without any origin nothing is added.
    """
    if not origins:
        return
    build = api.build_middleware_stack

    def build_surrounded() -> ASGIApp:
        # Outside of the error handlers even, where no middleware of the application's can be: a
        # page has to be able to read what an unexpected error is answered with.
        return CORSMiddleware(
            build(),
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            allow_credentials="*" not in origins,
            expose_headers=RESPONSE_HEADERS,
        )

    api.build_middleware_stack = build_surrounded  # type: ignore[method-assign]
