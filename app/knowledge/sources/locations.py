"""What tells one source from another."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from app.knowledge.connectors.config import (
    FolderConfig,
    GitConfig,
    GitHubConfig,
    SourceConfig,
    WebConfig,
)
from app.knowledge.connectors.folder import allowed_path
from app.knowledge.connectors.tokens import token_for
from app.knowledge.exceptions import SourceUnusable
from settings import Settings

__all__ = ["location_of"]


def location_of(config: SourceConfig, settings: Settings, allowed_roots: Sequence[Path]) -> str:
    """Return where a source is, after all that can be checked without reading it; blocks.

    Raises:
        SourceUnusable: it could never be read.
    """
    match config:
        case FolderConfig():
            return str(allowed_path(config.path, allowed_roots))
        case GitConfig():
            # A folder needs none of it, and is to be looked at in no time.
            from app.knowledge.connectors.git import check_git_url  # noqa: PLC0415

            token_for(settings, config)
            check_git_url(config, allowed_roots)
            return config.url + _part_of_repository(config)
        case GitHubConfig():
            token_for(settings, config)
            return config.repository + _part_of_repository(config)
        case WebConfig():
            _require_web_url(config)
            return config.url + _list(config.path_prefixes)


def _require_web_url(config: WebConfig) -> None:
    try:
        url = urlsplit(config.url)
        is_usable = url.scheme in ("http", "https") and url.hostname and "@" not in url.netloc
    except ValueError:
        is_usable = False
    if not is_usable:
        raise SourceUnusable("url must begin with http:// or https:// and hold no password")


def _part_of_repository(config: GitConfig | GitHubConfig) -> str:
    return (f"#{config.branch}" if config.branch else "") + _list(config.path_prefixes)


def _list(prefixes: list[str]) -> str:
    return f" ({', '.join(prefixes)})" if prefixes else ""
