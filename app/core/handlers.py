"""The one place where errors become responses."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.core.exceptions import AppError, InvalidRequest, ReaderLeft
from app.core.idempotency import Replayed
from app.core.logs import request_id
from app.core.models import ErrorBody, ErrorResponse

__all__ = ["app_error", "error_response", "install_handlers", "invalid_request", "plain_error"]

logger = logging.getLogger(__name__)

HTTP_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    415: "unsupported_media_type",
}


def install_handlers(app: FastAPI) -> None:
    """Render every error in the same shape, and what has been answered before as it was."""
    app.add_exception_handler(Replayed, _replayed)
    app.add_exception_handler(AppError, _app_error)
    app.add_exception_handler(ClientDisconnect, _client_left)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


def error_response(error: AppError) -> ErrorResponse:
    """The body of an error response or of an `error` event."""
    return _body(error.code, error.message, error.details)


def app_error(error: HTTPException) -> AppError:
    """One of the framework's errors as one of ours, for those who word errors otherwise."""
    ours = AppError(error.detail or HTTPStatus(error.status_code).phrase, headers=error.headers)
    ours.status_code = error.status_code  # type: ignore[misc]
    ours.code = HTTP_CODES.get(error.status_code, f"http_{error.status_code}")  # type: ignore[misc]
    return ours


def plain_error(code: str, message: str) -> ErrorResponse:
    """The body of an error response to what never became a request."""
    return _body(code, message, {})


def invalid_request(problems: Sequence[Mapping[str, Any]]) -> InvalidRequest:
    """The error that says what pydantic has found."""
    # The input itself is left out: it may be a whole document, or a lone surrogate.
    details = [
        {"field": _field(problem["loc"]), "problem": _problem(problem)} for problem in problems
    ]
    message = "; ".join(f"{item['field']}: {item['problem']}" for item in details)
    return InvalidRequest(message, details={"fields": details})


async def _replayed(_: Request, answer: Exception) -> Response:
    assert isinstance(answer, Replayed)
    headers = {**answer.headers, "Idempotent-Replayed": "true"}
    return Response(answer.body, answer.status, headers, media_type="application/json")


async def _app_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppError)
    return JSONResponse(
        error_response(error).model_dump(mode="json"), error.status_code, headers=error.headers
    )


async def _client_left(request: Request, _: Exception) -> JSONResponse:
    """In the middle of its body."""
    return await _app_error(request, ReaderLeft())


async def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = error.errors()
    response = _not_json(request, problems)
    if response is not None:
        return response
    return await _app_error(request, invalid_request(problems))


def _not_json(request: Request, problems: Sequence[Mapping[str, Any]]) -> JSONResponse | None:
    kind = problems[0]["type"] if problems else ""
    content_type = request.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if kind == "json_invalid":
        return _no_json({"position": problems[0]["loc"][-1]})
    is_json = media_type == "application/json" or media_type.endswith("+json")
    is_of_body = bool(problems) and problems[0]["loc"][0] == "body"
    if is_of_body and not is_json and kind != "missing":
        body = _body(
            HTTP_CODES[415], "Send the body as JSON, with `Content-Type: application/json`.", {}
        )
        return JSONResponse(body.model_dump(mode="json"), 415)
    return None


def _no_json(details: dict[str, Any]) -> JSONResponse:
    body = _body(InvalidRequest.code, "The body is not valid JSON.", details)
    return JSONResponse(body.model_dump(mode="json"), InvalidRequest.status_code)


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    # FastAPI says so of bodies that it can't decode, or that are nested without end.
    is_bad = error.status_code == HTTPStatus.BAD_REQUEST
    if is_bad and isinstance(error.__cause__, ValueError | RecursionError):
        return _no_json({})
    code = HTTP_CODES.get(error.status_code, f"http_{error.status_code}")
    body = _body(code, error.detail or HTTPStatus(error.status_code).phrase, {})
    return JSONResponse(body.model_dump(mode="json"), error.status_code, headers=error.headers)


async def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
    # Starlette raises it again after this, so the server logs it and Sentry sees it. The server
    # then closes the connection, and the client should know.
    body = _body(AppError.code, "Something went wrong on our side.", {})
    headers = {"connection": "close"}
    if (current := request_id.get()) is not None:
        headers["x-request-id"] = current
    return JSONResponse(body.model_dump(mode="json"), 500, headers=headers)


def _body(code: str, message: str, details: dict[str, Any]) -> ErrorResponse:
    body = ErrorBody(code=code, message=message, details=details, request_id=request_id.get())
    return ErrorResponse(detail=message, error=body)


def _field(location: Sequence[int | str]) -> str:
    names = [str(part) for part in location]
    return _safe(".".join(names[1:] or names))


def _problem(problem: Mapping[str, Any]) -> str:
    message: str = problem["msg"]
    return _safe(message.removeprefix("Value error, "))


def _safe(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
