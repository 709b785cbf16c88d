"""What goes wrong about who asks.

AppError
├── Unauthorized       401, from `app.core.exceptions`: the database raises it, too
├── Forbidden          403
└── TooManyRequests    429
    └── TokensUsedUp
"""

from collections.abc import Mapping

from app.core.exceptions import AppError, Unauthorized

__all__ = ["Forbidden", "TokensUsedUp", "TooManyRequests", "Unauthorized"]

MINUTE_SEC = 60
HOUR_SEC = 3600


class Forbidden(AppError):
    """You may not do this."""

    status_code = 403
    code = "forbidden"


class TooManyRequests(AppError):
    """Too many requests."""

    status_code = 429
    code = "too_many_requests"

    def __init__(
        self, retry_after_sec: int, headers: Mapping[str, str], message: str | None = None
    ) -> None:
        super().__init__(
            message
            or f"Too many requests. Please try again in {_counted(retry_after_sec, 'second')}.",
            details={"retry_after_sec": retry_after_sec},
            headers={"Retry-After": str(retry_after_sec), **headers},
        )


class TokensUsedUp(TooManyRequests):
    """The tokens of the day are used up."""

    code = "too_many_tokens"

    def __init__(self, retry_after_sec: int, headers: Mapping[str, str]) -> None:
        super().__init__(
            retry_after_sec,
            headers,
            f"The tokens of the day are used up. They come back in {_roughly(retry_after_sec)}.",
        )


def _roughly(seconds: int) -> str:
    """Return a time that is never too short."""
    if seconds > HOUR_SEC:
        return _counted(-(-seconds // HOUR_SEC), "hour")
    if seconds > MINUTE_SEC:
        return _counted(-(-seconds // MINUTE_SEC), "minute")
    return _counted(seconds, "second")


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
