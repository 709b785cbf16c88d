"""Which addresses git may clone from."""

import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from app.knowledge.connectors.folder import allowed_path
from app.knowledge.exceptions import SourceUnusable

__all__ = ["Remote", "parse_remote"]

# A name that begins with "-" would be an option of git or of ssh.
_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|[0-9A-Fa-f:.]+")
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# user@host:path, as scp writes it; "::" would be one of git's helpers, which run commands.
_SCP: Final = re.compile(r"(?:(?P<user>[^@:/]+)@)?(?P<host>[^@:/]+):(?!:)(?P<path>[^-].*)")

# What a server may redirect to, too.
_PROTOCOLS: Final = {"https": "https", "http": "http:https", "ssh": "ssh"}


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository's address, safe to be given to git and to be shown."""

    # As the user wrote it.
    name: str
    # As git gets it.
    url: str
    # What git may speak, as GIT_ALLOW_PROTOCOL takes it.
    protocols: str
    # Where a token may be sent: scheme, host and port. None: nowhere.
    token_scope: str | None = None
    is_bundle: bool = False


def parse_remote(url: str, allowed_roots: Sequence[Path]) -> Remote:
    """Check an address: https, http, ssh, `user@host:path`, file, or an absolute path.

    Raises:
        SourceUnusable: it is none of these, has a secret inside, or is a path outside the roots.
    """
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in url):
        raise SourceUnusable("The repository's URL has a character that no URL can have.")
    if url.startswith("/"):
        return _local(url, url, allowed_roots)
    if _SCHEME.match(url):
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise SourceUnusable("The repository's URL is not a valid URL.") from None
        if parts.scheme == "file":
            return _file(url, parts, allowed_roots)
        if parts.scheme in _PROTOCOLS:
            return _network(url, parts, port)
    elif (scp := _SCP.fullmatch(url)) and _is_name(scp["user"], scp["host"]):
        return Remote(url, url, "ssh")
    raise SourceUnusable(
        "bRAG can't clone from this address: give an https or ssh URL, user@host:path, or the "
        "absolute path of a repository or a bundle on the server."
    )


def _network(url: str, parts: SplitResult, port: int | None) -> Remote:
    is_ssh = parts.scheme == "ssh"
    # A user's name alone may be a token as well, except for ssh, where it is usual.
    if parts.password is not None or (parts.username is not None and not is_ssh):
        raise SourceUnusable(
            "The repository's URL has a user name or a password inside: remove it, put the token "
            "into the setting SOURCE_TOKENS and its name into the source's token_name."
        )
    if parts.query or parts.fragment:
        raise SourceUnusable("A repository's URL has neither '?' nor '#'.")
    host = parts.hostname
    if not _is_name(parts.username, host) or " " in url:
        raise SourceUnusable("The repository's URL has no valid host name.")
    if is_ssh:
        return Remote(url, url, _PROTOCOLS["ssh"])
    address = f"[{host}]" if ":" in str(host) else host
    scope = f"{parts.scheme}://{address}" + (f":{port}" if port else "")
    return Remote(url, url, _PROTOCOLS[parts.scheme], scope)


def _is_name(user: str | None, host: str | None) -> bool:
    return bool(_HOST.fullmatch(host or "")) and (user is None or bool(_USER.fullmatch(user)))


def _file(url: str, parts: SplitResult, allowed_roots: Sequence[Path]) -> Remote:
    path = unquote(parts.path, errors="surrogateescape")
    if parts.netloc not in {"", "localhost"} or "?" in url or "#" in url or "\0" in path:
        raise SourceUnusable(
            "A file URL is written file:///path/on/the/server, with '?' and '#' percent-encoded."
        )
    return _local(url, path, allowed_roots)


def _local(name: str, path: str, allowed_roots: Sequence[Path]) -> Remote:
    real = allowed_path(path, allowed_roots)
    if real.is_file():
        # git takes a bundle by its path only.
        return Remote(name, str(real), "file", is_bundle=True)
    if not real.is_dir():
        raise SourceUnusable(f"There is no repository or bundle {name} on the server.")
    # By its path only, git would copy the whole history.
    return Remote(name, f"file://{quote(os.fsencode(real))}", "file")
