"""Which web pages may call the tools: a page of any other site must not, whatever its DNS says."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request

from app.accounts.exceptions import Forbidden
from app.core.dependencies import SettingsDep
from settings import Settings

__all__ = ["require_trusted_origin"]


class UntrustedOrigin(Forbidden):
    """Web pages of this origin may not call this: name it in CORS_ORIGINS if they should."""

    code = "untrusted_origin"


class UntrustedHost(Forbidden):
    """This server is not known by that name: set PUBLIC_URL to where people reach it."""

    code = "untrusted_host"


async def require_trusted_origin(request: Request, settings: SettingsDep) -> None:
    """Refuse what a page of another site sends, directly or by a name that it has rebound to us.

    Raises:
        UntrustedOrigin: the page is not one that CORS_ORIGINS or PUBLIC_URL names, nor local.
        UntrustedHost: a server for this machine alone, without AUTH, was called by another name.
    """
    origin = request.headers.get("origin")
    if origin is not None and not _is_trusted_origin(origin, settings):
        raise UntrustedOrigin
    # A program may have any name for a server that others reach, and with AUTH it needs a token,
    # which no page of another site has.
    if settings.requires_auth or not _is_loopback(settings.host):
        return
    host = _host_of(f"//{request.headers.get('host', '')}")
    public = _host_of(settings.public_url or "")
    if not (_is_loopback(host) or (public and host == public)):
        raise UntrustedHost


def _is_trusted_origin(origin: str, settings: Settings) -> bool:
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
