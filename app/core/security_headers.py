"""What every response tells a browser not to do with it.

Pure ASGI, and outside of everything else: errors and preflights need it, too. A header that a
response brings itself is left as it is: pages have a policy of their own.
"""

from typing import Final

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SecurityHeaders", "default_headers", "secure_responses"]

Headers = list[tuple[bytes, bytes]]

# A year, of this host alone: what else stands under its name is not ours to decide about.
HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
NOT_STORED: Final = (b"cache-control", b"no-store")
DEFAULTS: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    # The link to log in holds a token, and documents are named by what people search for.
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    # Pages of CORS_ORIGINS read answers all the same: this is about those who don't ask.
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


def default_headers(public_url: str | None) -> Headers:
    """Return what a response gets that brings nothing itself."""
    if public_url is not None and public_url.lower().startswith("https://"):
        return [*DEFAULTS, HSTS]
    return DEFAULTS


def secure_responses(api: FastAPI, public_url: str | None) -> None:
    """Add the headers to every response of an application."""
    build = api.build_middleware_stack

    def build_surrounded() -> ASGIApp:
        # Outside of the error handlers, where no middleware of the application's can be.
        return SecurityHeaders(build(), default_headers(public_url))

    api.build_middleware_stack = build_surrounded  # type: ignore[method-assign]


class SecurityHeaders:
    """Adds headers to responses that lack them.

    What says nothing of caches is stored by none: it is somebody's. (Files have an `ETag`.)
    """

    def __init__(self, app: ASGIApp, headers: Headers) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                present = {name.lower() for name, _ in headers}
                headers += [header for header in self._headers if header[0] not in present]
                if not present & {b"cache-control", b"etag"}:
                    headers.append(NOT_STORED)
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, send_with_headers)
