"""The body of an upload: files as a form, or a text as JSON."""

import errno
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from anyio import to_thread
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from app.accounts.models import Visibility
from app.core.exceptions import AppError, InvalidRequest
from app.knowledge.documents.models import MAX_PATH_CHARACTERS, NewDocument, checked_path
from app.knowledge.documents.services import Upload, path_of, upload_of

__all__ = ["BODY", "read_upload", "read_uploads"]

MAX_FILES = 100
# The route reads its body itself, so that it can say what was wrong with it.
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                        },
                        "path": {
                            "type": "array",
                            "items": {"type": "string", "maxLength": MAX_PATH_CHARACTERS},
                            "description": "Of each file, in the same order, such as "
                            "`guide/intro.md`; by default its name.",
                        },
                        "visibility": {
                            "type": "string",
                            "enum": list(Visibility),
                            "default": Visibility.PRIVATE,
                        },
                    },
                },
                "example": {"file": ["# Guide\n\nRun `make run-dev`.\n"], "visibility": "private"},
            },
            "application/json": {"schema": NewDocument.model_json_schema()},
        },
    }
}


class UnsupportedBody(AppError):
    """Send files as multipart/form-data, in fields named file, or a text as application/json."""

    status_code = 415
    code = "unsupported_media_type"


class DiskFull(AppError):
    """The server's disk is full."""

    status_code = 503
    code = "disk_full"


async def read_uploads(request: Request) -> list[Upload]:
    """Return what a request hands in; files are on disk until all have arrived.

    Raises:
        InvalidRequest: it can't be read, or there is nothing in it.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        return await _read_form(request)
    if media_type == "application/json":
        return [await _read_json(request)]
    raise UnsupportedBody


async def read_upload(request: Request) -> Upload:
    """The same for a request that replaces one document."""
    uploads = await read_uploads(request)
    if len(uploads) > 1:
        raise InvalidRequest("file: must be one file")
    return uploads[0]


async def _read_json(request: Request) -> Upload:
    try:
        # A large text takes a while to parse, which nobody else should wait for.
        new = await to_thread.run_sync(NewDocument.model_validate_json, await request.body())
        return upload_of(new)
    except ValidationError as error:
        problems = [problem | {"loc": ("body", *problem["loc"])} for problem in error.errors()]
        raise RequestValidationError(problems) from None


async def _read_form(request: Request) -> list[Upload]:
    parser = MultiPartParser(request.headers, _whole_form(request), max_files=MAX_FILES)
    try:
        form = await parser.parse()
        try:
            visibility = _visibility(form)
            files = _files(form)
            return [
                Upload(path, await file.read(), file.content_type, visibility=visibility)
                for path, file in zip(_paths(form, files), files, strict=True)
            ]
        finally:
            await form.close()
    except MultiPartException as error:
        raise InvalidRequest(f"The form can't be read: {error.message}") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull from error
        raise


def _files(form: FormData) -> list[UploadFile]:
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files:
        raise InvalidRequest("file: must be at least one file")
    return files


def _paths(form: FormData, files: Sequence[UploadFile]) -> list[str]:
    """Return what tells the files from each other: two folders may hold files of one name."""
    given = [path for path in form.getlist("path") if isinstance(path, str)]
    if not given:
        return [path_of(file.filename or "") for file in files]
    if len(given) != len(files):
        raise InvalidRequest("path: must be there for each file, or for none")
    try:
        return list(map(checked_path, given))
    except ValueError as error:
        raise InvalidRequest(f"path: {error}") from None


def _visibility(form: FormData) -> Visibility | None:
    match form.getlist("visibility"):
        case []:
            return None
        case [given] if given in list(Visibility):
            return Visibility(given)
    raise InvalidRequest("visibility: must be private or shared")


async def _whole_form(request: Request) -> AsyncGenerator[bytes]:
    """Yield the body; raise at its end when the form's own end is missing.

    The parser would not: it forgets a part that is cut off, and returns the others.
    """
    _, options = parse_options_header(request.headers["content-type"])
    end = b"--%b--" % options.get(b"boundary", b"")
    tail = b""
    async for chunk in request.stream():
        tail = (tail + chunk)[-1_000:]
        yield chunk
    if end not in tail:
        raise MultiPartException("it is cut off.")
