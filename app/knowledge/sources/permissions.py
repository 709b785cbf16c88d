"""What of the server itself a source may use: its folders and credentials are the operator's."""

from app.accounts.exceptions import Forbidden
from app.accounts.models import Caller
from app.knowledge.connectors.config import FolderConfig, GitConfig, SourceConfig, WebConfig

__all__ = ["require_operator"]


def require_operator(caller: Caller, config: SourceConfig) -> None:
    """Let only admins read the server's disk, or use its keys and tokens.

    Raises:
        Forbidden: the caller is none, and the source needs it.
    """
    if caller.is_admin or isinstance(config, WebConfig):
        return
    if isinstance(config, FolderConfig):
        raise Forbidden("Only an admin may make a folder on the server a source.")
    if config.token_name is not None:
        raise Forbidden("Only an admin may use a token of the server: leave out token_name.")
    # git reads paths on the server, uses its keys, and asks whatever host it is told, internal ones
    # included.
    if isinstance(config, GitConfig):
        raise Forbidden("Only an admin may have the server clone a repository.")
