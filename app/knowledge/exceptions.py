"""What can be wrong with a request to the knowledge base, and with where documents come from.

FolderError           422, the folder can't be read
ModelNotReady         503, the knowledge base's embedding model can't be loaded here
ModelReplaced         409, what was embedded was embedded with the wrong model
SourceNotYours        403, a source is shared by somebody else
SourceUnavailable     a source, or one of its documents, can't be read now: try again
SourceUnusable        the same, and it stays so until somebody changes something
└── ParserFailed      which may be different on another machine
"""

from app.accounts.exceptions import Forbidden
from app.core.exceptions import AppError, Conflict, InvalidRequest

__all__ = [
    "FolderError",
    "ModelNotReady",
    "ModelReplaced",
    "ParserFailed",
    "SourceNotYours",
    "SourceUnavailable",
    "SourceUnusable",
]


class FolderError(InvalidRequest):
    """The folder can't be read."""

    code = "folder_unreadable"


class ModelNotReady(AppError):
    """The embedding model can't be loaded where the worker runs."""

    status_code = 503
    code = "model_not_ready"


class ModelReplaced(Conflict):
    """The knowledge base has another embedding model by now. Please try again."""

    code = "model_replaced"


class SourceNotYours(Forbidden):
    """This source is somebody else's: only they and admins may change it."""


class SourceUnavailable(Exception):
    """It can't be read just now; the message says why, in plain words and without secrets."""

    def __init__(self, message: str, *, retry_after_sec: float | None = None) -> None:
        super().__init__(message)
        # When the source itself says how long to leave it alone.
        self.retry_after_sec = retry_after_sec


class SourceUnusable(Exception):
    """It can't be read as it is; the message says what to change."""


class ParserFailed(SourceUnusable):
    """A document was too much for its parser, on this machine, this time."""
