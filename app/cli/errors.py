"""What a server, or the part of one in this process, refused or failed to do."""

from collections.abc import Mapping
from typing import Any

__all__ = ["RequestFailed"]


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
