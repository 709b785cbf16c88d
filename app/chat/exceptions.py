"""Errors of the chat domain."""

from app.core.exceptions import AppError, InvalidRequest

__all__ = ["PostProcessingFailed", "ReaderLeft", "ServerStopping", "UnknownModel"]


class UnknownModel(InvalidRequest):
    """The requested model is not one of the allowed models."""

    code = "unknown_model"


class PostProcessingFailed(AppError):
    """Post processing failed"""

    status_code = 503
    code = "post_processing_failed"


class ReaderLeft(AppError):
    """The reader left before the stream began."""

    # nginx's word for it; nobody gets to see it but the logs.
    status_code = 499
    code = "reader_left"


class ServerStopping(AppError):
    """The server is stopping. Please ask again in a moment."""

    status_code = 503
    code = "server_stopping"
