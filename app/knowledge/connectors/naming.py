"""What kind of source a location names, when nobody says."""

import re
from pathlib import Path
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import ValidationError

from app.core.exceptions import InvalidRequest
from app.knowledge.connectors.config import (
    AutoConfig,
    FolderConfig,
    GitConfig,
    GitHubConfig,
    SourceConfig,
    WebConfig,
)

__all__ = ["Kind", "is_remote", "kind_of", "named_source", "without_git"]

Kind = Literal["folder", "git", "web"]

# By a part of the host's name: companies call theirs gitlab.example.com.
_FORGES: Final = frozenset({"github", "gitlab", "bitbucket", "codeberg"})
_SCP: Final = re.compile(r"[^@/:]+@[^/:]+:.+")
_GIT_SCHEMES: Final = ("ssh", "file")
_OWNER_AND_NAME: Final = 2


def kind_of(location: str) -> Kind:
    """Return the kind of source that a path or an address names, by its form alone.

    Raises:
        InvalidRequest: there is no such kind of source.
    """
    if "://" not in location:
        return "git" if is_remote(location) or location.endswith(".bundle") else "folder"
    parts = _split(location)
    if parts.scheme in _GIT_SCHEMES:
        return "git"
    if parts.scheme not in ("http", "https"):
        raise InvalidRequest(
            f"bRAG reads nothing from {parts.scheme}:// URLs. Name a folder, or a URL that begins "
            "with https://, http:// or ssh://."
        )
    host = (parts.hostname or "").split(".")
    path = _path(parts)
    # Further parts lead to something inside of a repository; GitLab's groups have groups.
    is_page = len(path) == _OWNER_AND_NAME or (
        "gitlab" in host and len(path) > _OWNER_AND_NAME and "-" not in path
    )
    is_forge = not _FORGES.isdisjoint(host)
    return "git" if parts.path.endswith(".git") or (is_forge and is_page) else "web"


def is_remote(location: str) -> bool:
    """Whether it is an address, and no path."""
    return "://" in location or _SCP.fullmatch(location) is not None


def named_source(config: AutoConfig) -> SourceConfig:
    """Return the source that a request names by its location only.

    Raises:
        InvalidRequest: there is no such kind of source, or it has no such option.
    """
    kind = kind_of(config.location)
    given = config.model_dump(include={"branch", "path_prefixes"}, exclude_defaults=True)
    if kind == "folder" and not Path(config.location).is_absolute():
        raise InvalidRequest(
            "config.location: begin with https:// for a site or a repository, or with / for a "
            "folder on the server"
        )
    if kind == "folder" and given:
        raise InvalidRequest("config: a folder has neither branch nor path_prefixes")
    if kind == "web" and "branch" in given:
        raise InvalidRequest(
            "config.branch: a site has none; if it is a repository, add .git to its address"
        )
    match kind:
        case "folder":
            return FolderConfig(kind="folder", path=config.location)
        case "git":
            return GitConfig.model_validate({"kind": "git", "url": config.location, **given})
        case "web":
            return WebConfig.model_validate({"kind": "web", "url": config.location, **given})


def without_git(config: SourceConfig) -> SourceConfig:
    """Return the same repository as GitHub's API gives it, if it is there; else what was given."""
    if not isinstance(config, GitConfig):
        return config
    parts = _split(config.url)
    path = _path(parts)
    if parts.hostname != "github.com" or len(path) != _OWNER_AND_NAME:
        return config
    given = config.model_dump(exclude={"kind", "url"}, exclude_defaults=True)
    repository = "/".join(path).removesuffix(".git")
    try:
        return GitHubConfig.model_validate({"kind": "github", "repository": repository, **given})
    except ValidationError:
        return config


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise InvalidRequest(f"{url} is not a valid URL.") from None


def _path(parts: SplitResult) -> list[str]:
    return [part for part in parts.path.split("/") if part]
