"""What a server, or the part of one in this process, refused or failed to do."""

from collections.abc import Mapping
from typing import Any

from app.core.exceptions import AppError, StartupError

__all__ = ["RequestFailed", "described"]


class RequestFailed(Exception):
    """A request failed; the text is one plain sentence that says what to do."""

    def __init__(
        self,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        *,
        status: int | None = None,
        retry_after_sec: float | None = None,
    ) -> None:
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.status = status
        self.retry_after_sec = retry_after_sec
        super().__init__(message)


def described(error: AppError | StartupError | RequestFailed) -> dict[str, object]:
    """Say what went wrong as the API does."""
    if isinstance(error, StartupError):
        return {"code": "startup_error", "message": str(error), "details": {}}
    return {"code": error.code, "message": error.message, "details": error.details}
