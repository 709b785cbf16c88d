"""What kind of source an argument of `ingest` names."""

import os
from collections.abc import Sequence

from pydantic import ValidationError

from app.core.exceptions import InvalidRequest
from app.knowledge.connectors.config import FolderConfig, GitConfig, SourceConfig, WebConfig
from app.knowledge.connectors.naming import is_remote, kind_of

__all__ = ["source_config"]


def source_config(
    argument: str, *, branch: str | None = None, path_prefixes: Sequence[str] = ()
) -> SourceConfig:
    """Return the source that an argument names.

    Raises:
        InvalidRequest: there is no such kind of source, or it has no such option.
    """
    kind = kind_of(argument)
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
                url = argument if is_remote(argument) else os.path.realpath(argument)
                return GitConfig.model_validate({"kind": "git", "url": url, **given})
            case _:
                return WebConfig.model_validate({"kind": "web", "url": argument, **given})
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        raise InvalidRequest(f"{problem['loc'][0]}: {problem['msg']}.") from None
