"""What kind of source an argument of `ingest` names."""

import os
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from app.core.exceptions import InvalidRequest
from app.knowledge.connectors.config import FolderConfig, GitConfig, SourceConfig, WebConfig

__all__ = ["source_config"]

# By a part of the host's name: companies call theirs gitlab.example.com.
_FORGES: Final = frozenset({"github", "gitlab", "bitbucket", "codeberg"})
_SCP: Final = re.compile(r"[^@/:]+@[^/:]+:.+")
_GIT_SCHEMES: Final = ("ssh", "file")


def source_config(
    argument: str, *, branch: str | None = None, path_prefixes: Sequence[str] = ()
) -> SourceConfig:
    """Return the source that an argument names.

    Raises:
        InvalidRequest: there is no such kind of source, or it has no such option.
    """
    kind = _kind(argument)
    given: dict[str, object] = {}
    if branch is not None:
        given["branch"] = branch
    if path_prefixes:
        given["path_prefixes"] = list(path_prefixes)
    if kind == "folder" and given:
        raise InvalidRequest("A folder has neither --branch nor --path-prefix: name a subfolder.")
    if kind == "web" and branch is not None:
        raise InvalidRequest("A site has no --branch. If it is a repository, add .git to the URL.")
    try:
        match kind:
            case "folder":
                return FolderConfig(kind="folder", path=os.path.realpath(argument))
            case "git":
                url = argument if _has_scheme(argument) or _is_scp(argument) else _real(argument)
                return GitConfig.model_validate({"kind": "git", "url": url, **given})
            case _:
                return WebConfig.model_validate({"kind": "web", "url": argument, **given})
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        raise InvalidRequest(f"{problem['loc'][0]}: {problem['msg']}.") from None


def _kind(argument: str) -> str:
    if not _has_scheme(argument):
        is_git = argument.endswith(".bundle") or _is_scp(argument)
        return "git" if is_git else "folder"
    try:
        parts = urlsplit(argument)
        host = parts.hostname or ""
    except ValueError:
        raise InvalidRequest(f"{argument} is not a valid URL.") from None
    if parts.scheme in _GIT_SCHEMES:
        return "git"
    if parts.scheme not in ("http", "https"):
        raise InvalidRequest(
            f"bRAG reads nothing from {parts.scheme}:// URLs. Name a folder, or a URL that begins "
            "with https://, http:// or ssh://."
        )
    path = [part for part in parts.path.split("/") if part]
    # Further parts lead to something inside of a repository; GitLab's groups have groups.
    is_page = len(path) == 2 or ("gitlab" in host.split(".") and len(path) > 2 and "-" not in path)  # noqa: PLR2004
    is_forge = not _FORGES.isdisjoint(host.split("."))
    return "git" if parts.path.endswith(".git") or (is_forge and is_page) else "web"


def _has_scheme(argument: str) -> bool:
    return "://" in argument


def _is_scp(argument: str) -> bool:
    return bool(_SCP.fullmatch(argument))


def _real(path: str) -> str:
    return os.path.realpath(path)
