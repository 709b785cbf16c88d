"""Errors as OpenAI's clients expect them: the right status raises the right class there.

    {"error": {"message", "type", "param", "code", "details", "request_id"}, "detail": message}

All that our own errors say is in there, too.
"""

import json
import logging
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from app.chat.exceptions import UnknownModel
from app.core.exceptions import AppError
from app.core.handlers import app_error
from app.core.logs import request_id

__all__ = [
    "DONE",
    "BadRequest",
    "ModelNotFound",
    "OpenAIErrorResponse",
    "OpenAIRoute",
    "TooManyEmbeddings",
    "UnsupportedMediaType",
    "encode_error",
    "error_body",
    "status_of",
]

logger = logging.getLogger(__name__)

DONE: Final = b"data: [DONE]\n\n"
# What an upstream says of the request itself, which is the caller's to mend.
PASSED_ON: Final = {400: 400, 413: 413, 422: 400, 429: 429}
TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}


class OpenAIErrorBody(BaseModel):
    """What went wrong."""

    message: str = Field(examples=["There is no model nonesuch. There are: brag, gpt-5-mini."])
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(examples=["model"], description="The field that is to blame.")
    code: str | None = Field(examples=["model_not_found"])
    details: dict[str, Any] = Field(default_factory=dict)
    request_id: str | None = Field(default=None, examples=["4f0c2b7a9d7c4d3d9e0a5a2f8b1c6e7d"])


class OpenAIErrorResponse(BaseModel):
    """Every error of these routes, as OpenAI words errors; `detail` repeats the message."""

    detail: str
    error: OpenAIErrorBody


class BadRequest(AppError):
    """The request is not valid."""

    status_code = 400
    code = "invalid_request"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message, details={"param": param} if param else {})
        if code:
            self.code = code  # type: ignore[misc]


class ModelNotFound(AppError):
    """There is no such model."""

    status_code = 404
    code = "model_not_found"

    def __init__(self, message: str) -> None:
        super().__init__(message, details={"param": "model"})


class TooManyEmbeddings(AppError):
    """Too many requests wait for embeddings just now. Please try again in a moment."""

    status_code = 429
    code = "too_many_embeddings"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "5"})


class UnsupportedMediaType(AppError):
    """Send the body as JSON, with `Content-Type: application/json`."""

    status_code = 415
    code = "unsupported_media_type"


class OpenAIRoute(APIRoute):
    """A route whose errors have OpenAI's shape."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handle = super().get_route_handler()

        async def with_openai_errors(request: Request) -> Response:
            try:
                return await handle(request)
            except AppError as error:
                return _response(error)
            except HTTPException as error:
                return _response(app_error(error))

        return with_openai_errors


def status_of(error: AppError) -> int:
    """Return the status that raises the right class in OpenAI's clients."""
    if isinstance(error, UnknownModel):
        return 404
    if error.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
        return 400
    return PASSED_ON.get(error.details.get("upstream_status", 0), error.status_code)


def error_body(error: AppError) -> OpenAIErrorResponse:
    """Return the body of an error response."""
    status = status_of(error)
    message = str(error.details.get("reason") or error.message)
    return OpenAIErrorResponse(
        detail=message,
        error=OpenAIErrorBody(
            message=message,
            type=TYPES.get(
                status,
                "invalid_request_error" if status < 500 else "server_error",  # noqa: PLR2004
            ),
            param=error.details.get("param"),
            code=error.code,
            details=error.details,
            request_id=request_id.get(),
        ),
    )


def encode_error(error: AppError) -> bytes:
    """Return the events that end a stream that failed."""
    body = {"error": error_body(error).error.model_dump(mode="json")}
    return b"data: " + json.dumps(body).encode() + b"\n\n" + DONE


def _response(error: AppError) -> Response:
    return JSONResponse(
        error_body(error).model_dump(mode="json"), status_of(error), headers=error.headers
    )
