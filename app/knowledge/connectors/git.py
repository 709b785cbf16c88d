"""A repository that git can clone, read at one commit.

Only what is needed is fetched, if the server can leave out the rest: first the names of all files,
then the contents that are asked for. Nothing is ever checked out, so no name in the repository
becomes one on the disk, and neither hooks, filters, submodules nor links come into play.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pydantic import SecretStr

from app.knowledge.connectors.config import GitConfig
from app.knowledge.connectors.file_filter import FileFilter
from app.knowledge.connectors.git_clone import GitClone
from app.knowledge.connectors.git_errors import GitFailed, explain
from app.knowledge.connectors.git_process import Git
from app.knowledge.connectors.git_refs import check_branch, find_tip
from app.knowledge.connectors.git_remote import Remote, parse_remote
from app.knowledge.connectors.git_urls import blob_prefix
from app.knowledge.connectors.git_workspace import workspace
from app.knowledge.connectors.models import Content, Entry, Listing
from app.knowledge.exceptions import SourceUnavailable, SourceUnusable
from app.knowledge.files import Skipped

__all__ = ["GitSnapshot", "check_git_url", "open_git"]

logger = logging.getLogger(__name__)

# The beginning of every pointer: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
_LFS: Final = b"version https://git-lfs.github.com/spec/"


def check_git_url(config: GitConfig, allowed_roots: Sequence[Path]) -> None:
    """Check what can be checked of a source without asking its server.

    Raises:
        SourceUnusable: the address or the branch can't be right.
    """
    _remote(config, allowed_roots)


@contextmanager
def open_git(
    config: GitConfig,
    *,
    token: SecretStr | None,
    state: Mapping[str, Any],
    allowed_roots: Sequence[Path],
    folder: Path,
    max_bytes: int,
) -> Iterator["GitSnapshot"]:
    """Open a repository at its branch's present commit; temporary files go below `folder`.

    `state` is the state of its last listing.

    Raises:
        SourceUnavailable: it can't be read just now.
        SourceUnusable: it can't be read as it is.
    """
    remote = _remote(config, allowed_roots)
    file_filter = FileFilter(config.path_prefixes, config.patterns)
    terms = [remote.name, config.branch, file_filter.fingerprint, max_bytes]
    fingerprint = hashlib.sha256(json.dumps(terms).encode()).hexdigest()
    with ExitStack() as stack:
        # Not around the `yield`: the caller's errors are not git's.
        with _explained(remote.name):
            home = stack.enter_context(workspace(folder))
            git = Git(home, remote, _checked(token))
            tip = find_tip(git, config.branch)
            clone = listing = None
            if state != {"commit": tip.commit, "config": fingerprint}:
                clone = GitClone(git, tip, is_bundle=remote.is_bundle)
                new_state = {"commit": clone.commit, "config": fingerprint}
                listing = _list(clone, remote, file_filter, new_state)
        yield GitSnapshot(remote.name, clone, listing, max_bytes)


class GitSnapshot:
    """A repository's files at one commit."""

    def __init__(
        self, name: str, clone: GitClone | None, listing: Listing | None, max_bytes: int
    ) -> None:
        self.listing = listing
        self._name = name
        self._clone = clone
        self._max_bytes = max_bytes

    def read(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Content | Skipped]]:
        """Fetch the contents of entries and yield them, one at a time.

        Raises:
            SourceUnavailable: they can't be read just now.
            SourceUnusable: they can't be read as they are.
        """
        assert self._clone is not None, "nothing has changed, so there is nothing to read"
        with _explained(self._name):
            blobs = self._clone.read([entry.version for entry in entries], self._max_bytes)
            for entry, data in zip(entries, blobs, strict=True):
                yield entry, self._content(entry.path, data)

    def _content(self, path: str, data: bytes | None) -> Content | Skipped:
        if data is None:
            limit = f"{self._max_bytes / 1_000_000:.3g} MB"
            return Skipped(path, f"is larger than {limit} (the setting MAX_DOCUMENT_BYTES)")
        if data.startswith(_LFS):
            return Skipped(path, "is stored in Git LFS, which is not read")
        return Content(data)


def _remote(config: GitConfig, allowed_roots: Sequence[Path]) -> Remote:
    remote = parse_remote(config.url, allowed_roots)
    check_branch(config.branch)
    if config.token_name is not None and remote.token_scope is None:
        raise SourceUnusable("A token is for https URLs only: use one, or remove the token_name.")
    return remote


def _checked(token: SecretStr | None) -> SecretStr | None:
    if token is not None and not token.get_secret_value().strip().isprintable():
        raise SourceUnusable("The source's token in SOURCE_TOKENS has a character that none has.")
    return token


def _list(
    clone: GitClone, remote: Remote, file_filter: FileFilter, state: dict[str, Any]
) -> Listing:
    prefix = blob_prefix(remote.url, clone.commit)
    # By path: a repository that somebody made by hand may have a name twice.
    entries: dict[str, Entry] = {}
    skipped: dict[str, Skipped] = {}
    for file in clone.files():
        path = file.name.decode(errors="replace")
        if not file_filter.wants(path):
            continue
        if path.encode() != file.name:
            skipped[path] = Skipped(path, "has a name that is not valid UTF-8")
        elif file.is_link:
            skipped[path] = Skipped(path, "is a symbolic link, which is not followed")
        else:
            url = f"{prefix}{quote(path)}" if prefix else None
            entries.setdefault(path, Entry(path, file.blob, url))
    return Listing(list(entries.values()), list(skipped.values()), state)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except GitFailed as error:
        explained = explain(error, name)
        # Its own words are for the operator: a server can put into them what it likes.
        logger.warning("%s Git said: %r", explained, str(error)[-500:])
        raise explained from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SourceUnavailable(f"git can't be run in the folder VAR_DIR: {reason}.") from error
