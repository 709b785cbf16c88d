"""What goes wrong about who asks.

AppError
├── Unauthorized       401
├── Forbidden          403
└── TooManyRequests    429
"""

from collections.abc import Mapping

from app.core.exceptions import AppError

__all__ = ["Forbidden", "TooManyRequests", "Unauthorized"]


class Unauthorized(AppError):
    """Send a valid token: `Authorization: Bearer …`."""

    status_code = 401
    code = "unauthorized"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(AppError):
    """You may not do this."""

    status_code = 403
    code = "forbidden"


class TooManyRequests(AppError):
    """Too many requests."""

    status_code = 429
    code = "too_many_requests"

    def __init__(self, retry_after_sec: int, headers: Mapping[str, str]) -> None:
        seconds = "second" if retry_after_sec == 1 else "seconds"
        super().__init__(
            f"Too many requests. Please try again in {retry_after_sec} {seconds}.",
            details={"retry_after_sec": retry_after_sec},
            headers={"Retry-After": str(retry_after_sec), **headers},
        )
