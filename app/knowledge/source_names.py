"""What a source is called where it is read: not everybody is to know where it lies."""

import re

__all__ = ["cited_name", "public_name"]

# What follows the place itself: a branch, a query, which folders of it are read.
_REST = re.compile(r"[#?].*| \(.*", re.DOTALL)
# Of `git@example.com:team/handbook.git`, too.
_SEPARATORS = re.compile(r"[/:]")


def public_name(name: str, location: str) -> str:
    """Return what a source's owner calls it; or else the last part only of where it lies."""
    if name not in ("", location):
        return name
    place = _REST.sub("", location).rstrip("/")
    return _SEPARATORS.split(place)[-1].removesuffix(".git") or "source"


def cited_name(kind: str, name: str, location: str, *, mine: bool) -> str:
    """Return what an answer calls a source: where it lies, unless that is another's server.

    What has a place on the web is told by the links of its documents anyway.
    """
    if mine or kind == "github" or location.startswith(("https://", "http://")):
        return name or location
    return public_name(name, location)
