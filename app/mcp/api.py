"""The route that MCP clients call: `/mcp`, streamable HTTP without sessions."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from app.accounts.dependencies import CallerDep
from app.core.exceptions import AppError
from app.core.handlers import app_error, error_response
from app.mcp.origins import require_trusted_origin
from app.mcp.service import McpService

__all__ = ["router"]

# JSON-RPC's words for whose fault it is.
INVALID_REQUEST: Final = -32600
INTERNAL_ERROR: Final = -32603


class _McpRoute(APIRoute):
    """Words errors as JSON-RPC does: MCP clients show nothing of others but their status."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except AppError as error:
                return _refusal(error)
            except HTTPException as error:
                return _refusal(app_error(error))

        return answer


class _Handover(Response):
    """Leaves a request, whose body has been read, to the SDK, whose answer this is."""

    def __init__(self, service: McpService, message: bytes) -> None:
        super().__init__()
        self._service = service
        self._message = message

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        unread: list[Message] = [{"type": "http.request", "body": self._message}]

        async def receive_again() -> Message:
            return unread.pop() if unread else await receive()

        try:
            await self._service.handle(scope, receive_again, send)
        except AppError as error:
            await _refusal(error)(scope, receive, send)


router = APIRouter(route_class=_McpRoute)


# MCP has a description of its own, `tools/list`, so it stands in none of OpenAPI's.
@router.post("/mcp", include_in_schema=False, dependencies=[Depends(require_trusted_origin)])
async def mcp(request: Request, caller: CallerDep) -> Response:
    """Answer one message of an MCP client."""
    request.state.caller = caller
    # The SDK would call it a failure of ours when the client leaves meanwhile.
    return _Handover(request.state.mcp, await request.body())


def _refusal(error: AppError) -> JSONResponse:
    is_ours = error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    body = {
        "jsonrpc": "2.0",
        "id": None,
        "error": {
            "code": INTERNAL_ERROR if is_ours else INVALID_REQUEST,
            "message": error.message,
            "data": error_response(error).error.model_dump(mode="json"),
        },
    }
    return JSONResponse(body, error.status_code, headers=error.headers)
