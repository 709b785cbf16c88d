"""Every error that bRAG raises on purpose.

AppError                      an answer to a request that failed; one handler renders them all
├── Unauthorized              401
├── NotFound                  404
├── PayloadTooLarge           413
├── InvalidRequest            422
├── DatabaseUnavailable       503
│   └── DatabaseBusy          503, and when to try again
├── IndexUnavailable          503
├── UpstreamFailed            502
├── UpstreamTimedOut          504
├── ReaderLeft                499, in logs only
├── ServerStopping            503
├── Conflict                  409
└── (each domain adds its own in its `exceptions.py`)
StartupError                  bRAG cannot start: one plain sentence that says what to do
"""

from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = [
    "AppError",
    "Conflict",
    "DatabaseBusy",
    "DatabaseUnavailable",
    "IndexUnavailable",
    "InvalidRequest",
    "NotFound",
    "PayloadTooLarge",
    "ReaderLeft",
    "ServerStopping",
    "StartupError",
    "Unauthorized",
    "UpstreamFailed",
    "UpstreamTimedOut",
]


class AppError(Exception):
    """Something went wrong inside bRAG."""

    status_code: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.details = dict(details or {})
        self.headers = dict(headers or {})
        super().__init__(self.message)


class Unauthorized(AppError):
    """Send a valid token: `Authorization: Bearer …`."""

    status_code = 401
    code = "unauthorized"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, headers={"WWW-Authenticate": "Bearer"})


class NotFound(AppError):
    """There is nothing here."""

    status_code = 404
    code = "not_found"


class Conflict(AppError):
    """This is in conflict with what there is."""

    status_code = 409
    code = "conflict"


class PayloadTooLarge(AppError):
    """The request body is too large."""

    status_code = 413
    code = "payload_too_large"


class InvalidRequest(AppError):
    """The request is not valid."""

    status_code = 422
    code = "invalid_request"


class DatabaseUnavailable(AppError):
    """The database is unavailable. Please try again in a moment."""

    status_code = 503
    code = "database_unavailable"


class DatabaseBusy(DatabaseUnavailable):
    """Something else is being done with this just now. Please try again in a moment."""

    code = "database_busy"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "5"})


class IndexUnavailable(AppError):
    """The vector index is unavailable. Please try again in a moment."""

    status_code = 503
    code = "index_unavailable"


class UpstreamFailed(AppError):
    """OpenAI call failed"""

    status_code = 502
    code = "upstream_failed"


class UpstreamTimedOut(AppError):
    """Stream timed out"""

    status_code = 504
    code = "upstream_timed_out"


class ReaderLeft(AppError):
    """The reader left before the stream began."""

    # nginx's word for it; nobody gets to see it but the logs.
    status_code = 499
    code = "reader_left"


class ServerStopping(AppError):
    """The server is stopping. Please ask again in a moment."""

    status_code = 503
    code = "server_stopping"


class StartupError(Exception):
    """bRAG cannot start; the text is one plain sentence that says what to do."""
