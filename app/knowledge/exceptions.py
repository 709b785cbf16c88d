"""What can be wrong with a request to the knowledge base."""

from app.core.exceptions import InvalidRequest

__all__ = ["FolderError"]


class FolderError(InvalidRequest):
    """The folder can't be read."""

    code = "folder_unreadable"
