"""Where a reader finds a file of a repository on the web, at exactly one commit."""

import re
from typing import Final
from urllib.parse import quote, urlsplit

__all__ = ["blob_prefix"]

# By a part of the host's name: companies call theirs gitlab.example.com.
_STYLES: Final = {
    "github": "blob",
    "gitlab": "-/blob",
    "bitbucket": "src",
    "codeberg": "src/commit",
    "forgejo": "src/commit",
    "gitea": "src/commit",
}

_SCP: Final = re.compile(r"(?:[^@/]+@)?(?P<host>[^:/]+):(?P<path>.+)")


def blob_prefix(remote: str, commit: str) -> str | None:
    """What a file's percent-encoded path is appended to; None when the host is unknown."""
    if "://" in remote:
        parts = urlsplit(remote)
        host, path = parts.hostname or "", parts.path
        # The port of an ssh server says nothing about its pages.
        is_web = parts.scheme in {"http", "https"}
        site = f"{parts.scheme}://{parts.netloc}" if is_web else f"https://{host}"
    elif scp := _SCP.fullmatch(remote):
        host, path = scp["host"].lower(), quote(scp["path"])
        site = f"https://{host}"
    else:
        return None
    repository = path.strip("/").removesuffix(".git")
    style = next((_STYLES[label] for label in host.split(".") if label in _STYLES), None)
    if style is None or "/" not in repository:
        return None
    return f"{site}/{repository}/{style}/{commit}/"
