"""What can be wrong with a request to the knowledge base, and with where documents come from.

FolderError           422, the folder can't be read
SourceUnavailable     a source, or one of its documents, can't be read now: try again
SourceUnusable        the same, and it stays so until somebody changes something
"""

from app.core.exceptions import InvalidRequest

__all__ = ["FolderError", "SourceUnavailable", "SourceUnusable"]


class FolderError(InvalidRequest):
    """The folder can't be read."""

    code = "folder_unreadable"


class SourceUnavailable(Exception):
    """It can't be read just now; the message says why, in plain words and without secrets."""

    def __init__(self, message: str, *, retry_after_sec: float | None = None) -> None:
        super().__init__(message)
        # When the source itself says how long to leave it alone.
        self.retry_after_sec = retry_after_sec


class SourceUnusable(Exception):
    """It can't be read as it is; the message says what to change."""
