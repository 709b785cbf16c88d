"""What a page of another site may not do where nobody is asked who they are (AUTH=off).

A browser sends such a page's requests to this machine like anybody's: forms and uploads without
asking first, and all others to a name that the page's own DNS has rebound to 127.0.0.1.

Pure ASGI: a middleware that wraps the body would buffer streams.
"""

from ipaddress import ip_address
from typing import ClassVar, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.exceptions import AppError
from app.core.handlers import error_response
from settings import Settings

__all__ = ["RefuseForeignPages", "UntrustedOrigin", "is_trusted_origin"]

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class UntrustedOrigin(AppError):
    """Web pages of this origin may not call this: name it in CORS_ORIGINS if they should."""

    status_code: ClassVar[int] = 403
    code = "untrusted_origin"


class UntrustedHost(AppError):
    """This server is not known by that name: set PUBLIC_URL to where people reach it."""

    status_code: ClassVar[int] = 403
    code = "untrusted_host"


class RefuseForeignPages:
    """Refuses what only a page of another site sends; with AUTH=required it lacks a token anyway.

    A program may have any name for a server that others reach, and sends no `Origin`.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and not self._settings.requires_auth:
            error = self._problem(scope["method"], Headers(scope=scope))
            if error is not None:
                body = error_response(error).model_dump(mode="json")
                await JSONResponse(body, error.status_code)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _problem(self, method: str, headers: Headers) -> AppError | None:
        host = headers.get("host")
        if host and _is_loopback(self._settings.host) and not self._is_our_name(host):
            return UntrustedHost()
        origin = headers.get("origin")
        if origin is None or method in READING or is_trusted_origin(origin, self._settings):
            return None
        # Its own page, at whatever name. On loopback, the name has been checked above.
        is_own = bool(host) and origin.partition("://")[2].lower() == (host or "").lower()
        return None if is_own else UntrustedOrigin()

    def _is_our_name(self, host: str) -> bool:
        name = _host_of(f"//{host}")
        public = _host_of(self._settings.public_url or "")
        return _is_loopback(name) or bool(public and name == public)


def is_trusted_origin(origin: str, settings: Settings) -> bool:
    """Whether it is PUBLIC_URL's, one of CORS_ORIGINS, or, for a server on loopback, local."""
    origin = origin.lower()
    if origin in settings.cors_origins or "*" in settings.cors_origins:
        return True
    if settings.public_url is not None:
        public = urlsplit(settings.public_url)
        if origin == f"{public.scheme}://{public.netloc}".lower():
            return True
    return _is_loopback(settings.host) and _is_loopback(_host_of(origin))


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
