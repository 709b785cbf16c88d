"""Which web pages may call the tools: a page of any other site must not."""

from fastapi import Request

from app.core.dependencies import SettingsDep
from app.core.foreign_pages import UntrustedOrigin, is_trusted_origin

__all__ = ["require_trusted_origin"]


async def require_trusted_origin(request: Request, settings: SettingsDep) -> None:
    """Refuse what a page of another site sends, with AUTH, too: MCP asks for it.

    Raises:
        UntrustedOrigin: the page is not one that CORS_ORIGINS or PUBLIC_URL names, nor local.
    """
    origin = request.headers.get("origin")
    if origin is not None and not is_trusted_origin(origin, settings):
        raise UntrustedOrigin
