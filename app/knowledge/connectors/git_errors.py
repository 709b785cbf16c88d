"""What git says when it fails, in plain words.

Git's own words are not shown: a server can put into them what it likes.
"""

from typing import Final

from app.knowledge.exceptions import SourceUnavailable, SourceUnusable

__all__ = ["GitFailed", "NoGit", "TimedOut", "explain"]

_AUTHENTICATION: Final = (
    "{name} can't be read without the right to: put a valid token into the setting SOURCE_TOKENS "
    "and its name into the source's token_name, or, with ssh, let bRAG's key in."
)

# The first that fits is the reason; in lower case.
_NOT_FOUND: Final = (
    "There is no repository {name}, or only for those who may read it: a token belongs into the "
    "setting SOURCE_TOKENS, and its name into the source's token_name."
)
_UNKNOWN_HOST: Final = (
    "The ssh server of {name} is unknown: add its key to the known_hosts file of the user that "
    "runs bRAG."
)
_OWNER: Final = (
    "{name} belongs to another user than the one that runs bRAG, and git does not read it: change "
    "its owner, or make a bundle of it."
)

_UNUSABLE: Final = (
    ("authentication failed", _AUTHENTICATION),
    ("could not read username", _AUTHENTICATION),
    ("could not read password", _AUTHENTICATION),
    ("permission denied (", _AUTHENTICATION),
    ("returned error: 403", _AUTHENTICATION),
    ("host key verification failed", _UNKNOWN_HOST),
    ("certificate", "The TLS certificate of {name} is not valid on this machine."),
    ("dubious ownership", _OWNER),
    ("unsafe repository", _OWNER),
    (
        "lacks these prerequisite commits",
        "{name} is a bundle without its beginnings: make one of the whole history.",
    ),
    ("invalid gitfile format", "{name} is neither a git repository nor a bundle."),
    ("does not appear to be a git repository", "{name} is not a git repository."),
    ("not found", _NOT_FOUND),
    ("could not be found", _NOT_FOUND),
    ("dumb http transport", "The server of {name} does not speak git's present HTTP protocol."),
    ("expected commit type", "The tag of {name} is not one of a commit."),
    ("file too large", "{name} is larger than bRAG can read."),
    ("out of memory", "{name} has objects larger than bRAG can read."),
)
_UNAVAILABLE: Final = (
    ("no space left on device", "The server's disk is full: make room for {name} (VAR_DIR)."),
    ("could not resolve host", "The host of {name} is not known at the moment."),
    ("connect to", "The host of {name} does not answer."),
    ("connection", "The connection with the host of {name} failed."),
    ("unadvertised object", "{name} changed while it was read."),
    ("not our ref", "{name} changed while it was read."),
    ("find remote ref", "{name} changed while it was read."),
)


class GitFailed(Exception):
    """Git failed; the text is its last standard error, for `explain` only."""


class NoGit(GitFailed):
    """There is no git on this machine."""


class TimedOut(GitFailed):
    """Git was stopped."""


def explain(error: GitFailed, name: str) -> SourceUnavailable | SourceUnusable:
    """Say why git could not read the repository `name`."""
    if isinstance(error, TimedOut):
        return SourceUnavailable(f"{name} took too long to answer.")
    if isinstance(error, NoGit):
        return SourceUnusable("git is not installed on the server: install it.")
    words = str(error).lower()
    for phrase, reason in _UNUSABLE:
        if phrase in words:
            return SourceUnusable(reason.format(name=name))
    for phrase, reason in _UNAVAILABLE:
        if phrase in words:
            return SourceUnavailable(reason.format(name=name))
    return SourceUnavailable(f"git could not read {name}.")
