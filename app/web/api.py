"""Routes that serve the page; they are no part of the API that OpenAPI describes."""

from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from app.web.constants import CONTENT_SECURITY_POLICY, STATIC_DIR
from app.web.files import File, Files
from settings import Settings

__all__ = ["page_router"]

FOR_EVER: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"


def page_router(settings: Settings) -> APIRouter:
    """Return the routes; the files are read now."""
    files = Files(STATIC_DIR, settings)
    router = APIRouter(include_in_schema=False)

    @router.api_route("/", methods=["GET", "HEAD"])
    @router.api_route("/login", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        """Serve the page; its script shows the view that the address names."""
        return _response(request, files.page, ASK_AGAIN)

    @router.api_route("/static/{version}/{name:path}", methods=["GET", "HEAD"])
    async def static_file(request: Request, version: str, name: str) -> Response:
        """Serve a file of the page; under the name of an older version, what there is now."""
        found = files.find(name)
        if found is None:
            raise HTTPException(404, "The page has no such file.")
        return _response(request, found, FOR_EVER if version == files.version else ASK_AGAIN)

    return router


def _response(request: Request, file: File, cache_control: str) -> Response:
    headers = {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Cache-Control": cache_control,
        "ETag": file.etag,
        "Vary": "Accept-Encoding",
    }
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    content = file.content
    if "gzip" in request.headers.get("accept-encoding", ""):
        content = file.compressed
        headers["Content-Encoding"] = "gzip"
    return Response(content, 200, headers, file.media_type)
