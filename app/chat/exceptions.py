"""Errors of the chat domain."""

from app.core.exceptions import AppError, Conflict, InvalidRequest

__all__ = ["PassagesGone", "PostProcessingFailed", "UnknownModel"]


class UnknownModel(InvalidRequest):
    """The requested model is not one of the allowed models."""

    code = "unknown_model"


class PassagesGone(Conflict):
    """Passages of this answer were changed or are gone: ask the question again."""

    code = "passages_gone"


class PostProcessingFailed(AppError):
    """Post processing failed"""

    status_code = 503
    code = "post_processing_failed"
