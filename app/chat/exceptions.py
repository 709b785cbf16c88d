"""Errors of the chat domain."""

from app.core.exceptions import AppError, InvalidRequest

__all__ = ["PostProcessingFailed", "UnknownModel"]


class UnknownModel(InvalidRequest):
    """The requested model is not one of the allowed models."""

    code = "unknown_model"


class PostProcessingFailed(AppError):
    """Post processing failed"""

    status_code = 503
    code = "post_processing_failed"
