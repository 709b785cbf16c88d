"""A repository's documents through GitHub's REST API, for those who can't clone.

https://docs.github.com/en/rest/commits/commits#get-a-commit
https://docs.github.com/en/rest/git/blobs
"""

import hashlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final, Self
from urllib.parse import quote

from pydantic import BaseModel, Field, SecretStr, TypeAdapter, ValidationError

from app.knowledge.connectors.config import GitHubConfig
from app.knowledge.connectors.file_filter import FileFilter
from app.knowledge.connectors.github_api import JSON, RAW, SHA, Answer, AnswerTooLarge, GitHubApi
from app.knowledge.connectors.github_tree import ObjectId, TreeReader, parse, too_large
from app.knowledge.connectors.models import Content, Entry, Fetched, Gone, Listing
from app.knowledge.exceptions import SourceUnavailable, SourceUnusable

__all__ = ["GitHubConnector"]

# A repository's description is the largest of these, with some 10,000 bytes.
_MAX_ANSWER_BYTES: Final = 1_000_000
_LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/"
_SHA256_DIGITS: Final = 64


class _Repository(BaseModel):
    default_branch: Annotated[str, Field(min_length=1)]
    html_url: Annotated[str, Field(pattern=r"^https?://[^\s<>\"]+$")]


_object_id: Final = TypeAdapter[str](ObjectId)


class GitHubConnector:
    """Lists a repository's documents at the newest commit of a branch, and fetches each blob.

    Args:
        config: the repository, and which of its files.
        api_url: `https://api.github.com`, or `https://<host>/api/v3` of GitHub Enterprise.
        token: for a private repository, or for more requests per hour.
        max_bytes: larger files are left out.

    Raises:
        SourceUnusable: what was configured can't be a repository, a branch or a token.
    """

    def __init__(
        self, config: GitHubConfig, *, api_url: str, token: SecretStr | None, max_bytes: int
    ) -> None:
        self._name = config.repository
        self._branch = config.branch
        self._filter = FileFilter(config.path_prefixes, config.patterns)
        self._max_bytes = max_bytes
        self._no_access = (
            "its token may not read it"
            if token is not None
            else "it is private: put a token into SOURCE_TOKENS and name it as token_name"
        )
        self._path = "repos/" + "/".join(_segment(name) for name in self._name.split("/"))
        self._api = GitHubApi(api_url, token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def list(self, state: Mapping[str, Any]) -> Listing | None:
        """List the documents; None when they are as they were at `state`.

        Raises:
            SourceUnavailable: GitHub can't be read now.
            SourceUnusable: there is no such repository or branch, or it may not be read.
        """
        self._api.renew_patience()
        repository = self._repository()
        branch = self._branch or repository.default_branch
        fingerprint = self._fingerprint(repository, branch)
        known = state if state.get("fingerprint") == fingerprint else {}
        path = f"{self._path}/commits/{_segment(branch)}"
        answer = self._get(path, accept=SHA, etag=known.get("etag"))
        if answer.is_not_modified:
            return None
        commit = self._commit(answer, branch)
        if commit == known.get("commit"):
            return None
        entries, skipped = TreeReader(
            self._api,
            self._path,
            commit,
            url=f"{repository.html_url}/blob/{commit}",
            wanted=self._filter,
            max_bytes=self._max_bytes,
        ).read()
        etag = answer.headers.get("ETag")
        return Listing(
            entries, skipped, {"fingerprint": fingerprint, "commit": commit, "etag": etag}
        )

    def fetch(self, entry: Entry) -> Fetched | Gone:
        """Fetch the content of an entry that was listed, and prove that it is that content.

        Raises:
            SourceUnavailable: GitHub can't be read now, or sent something else.
            SourceUnusable: the repository may no longer be read.
        """
        self._api.renew_patience()
        path = f"{self._path}/git/blobs/{_segment(entry.version)}"
        try:
            answer = self._api.get(path, accept=RAW, max_bytes=self._max_bytes)
        except AnswerTooLarge:
            return Gone(too_large(self._max_bytes))
        if not answer.is_ok:
            # A repository that may no longer be read must not look like one without the file.
            self._repository()
            return Gone("is no longer in the repository")
        if _blob_id(answer.body, like=entry.version) != entry.version:
            raise SourceUnavailable("GitHub sent another content than the one it had listed.")
        if answer.body.startswith(_LFS_POINTER):
            return Gone("is stored in Git LFS, which is not read")
        return Fetched(Content(answer.body), entry.version, entry.url)

    def _get(self, path: str, *, accept: str = JSON, etag: str | None = None) -> Answer:
        try:
            return self._api.get(path, accept=accept, etag=etag, max_bytes=_MAX_ANSWER_BYTES)
        except AnswerTooLarge as error:
            raise SourceUnavailable("GitHub's answer is larger than it can be.") from error

    def _repository(self) -> _Repository:
        answer = self._get(self._path)
        if not answer.is_ok:
            raise SourceUnusable(
                f"There is no repository {self._name} on GitHub, or {self._no_access}."
            )
        return parse(_Repository, answer.body)

    def _commit(self, answer: Answer, branch: str) -> str:
        if answer.status == HTTPStatus.CONFLICT:
            raise SourceUnusable(f"The repository {self._name} has no commit yet.")
        if not answer.is_ok:
            raise SourceUnusable(f"The repository {self._name} has no branch {branch}.")
        try:
            return _object_id.validate_python(answer.body.decode().strip())
        except (UnicodeDecodeError, ValidationError) as error:
            raise SourceUnavailable("GitHub's answer is not what its API promises.") from error

    def _fingerprint(self, repository: _Repository, branch: str) -> str:
        """Another one whenever the same commit may give another listing."""
        terms = [repository.html_url, branch, self._filter.fingerprint, self._max_bytes]
        return hashlib.sha256(json.dumps(terms).encode()).hexdigest()


def _segment(name: str) -> str:
    """Write a name as one segment of a URL's path, so that it can't lead elsewhere."""
    if name in {"", ".", ".."}:
        raise SourceUnusable(f"{name!r} is not a name on GitHub.")
    return quote(name, safe="")


def _blob_id(data: bytes, *, like: str) -> str:
    """Git's own id of a content, by the hash function of a given id."""
    blob = b"blob %d\0" % len(data)
    if len(like) == _SHA256_DIGITS:
        return hashlib.sha256(blob + data).hexdigest()
    return hashlib.sha1(blob + data, usedforsecurity=False).hexdigest()
