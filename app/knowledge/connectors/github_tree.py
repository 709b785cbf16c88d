"""All the documents of one commit, from GitHub's listings of its trees.

https://docs.github.com/en/rest/git/trees
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, Field, ValidationError

from app.knowledge.connectors.file_filter import FileFilter
from app.knowledge.connectors.github_api import AnswerTooLarge, GitHubApi
from app.knowledge.connectors.models import Entry
from app.knowledge.exceptions import SourceUnavailable, SourceUnusable
from app.knowledge.files import Skipped

__all__ = ["ObjectId", "TreeReader", "parse", "too_large"]

# GitHub lists at most 100,000 entries in one answer, of some 300 bytes each.
_MAX_TREE_BYTES: Final = 64_000_000
# Enough for millions of files; whoever has more had better clone.
_MAX_TREES: Final = 1_000
_REGULAR_MODES: Final = frozenset({"100644", "100755", "100664"})
_LINK_MODE: Final = "120000"

ObjectId = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")]


class _Node(BaseModel):
    path: Annotated[str, Field(min_length=1)]
    mode: str
    type: str
    sha: ObjectId
    size: int = 0


class _Tree(BaseModel):
    tree: list[_Node]
    truncated: bool


_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(slots=True)
class TreeReader:
    """Reads the trees of one commit, below `repository_path` of the API.

    `url` is where a reader finds the commit's files.
    """

    api: GitHubApi
    repository_path: str
    commit: str
    url: str
    wanted: FileFilter
    max_bytes: int
    _requests: int = field(default=0, init=False)

    def read(self) -> tuple[list[Entry], list[Skipped]]:
        """List the documents, and what can't be one; both sorted by path.

        Raises:
            SourceUnavailable: GitHub can't be read now, or does not tell the truth.
            SourceUnusable: the repository has more than the API lists.
        """
        entries: dict[str, Entry] = {}
        skipped: dict[str, Skipped] = {}
        for path, node in self._files():
            if not self.wanted.wants(path):
                continue
            if reason := self._unsuitable(path, node):
                skipped[path] = Skipped(path, reason)
            elif path in entries:
                # Names that are no UTF-8 lose in JSON what tells them apart.
                skipped[path] = Skipped(path, "has the same name as another file")
            else:
                entries[path] = Entry(path, node.sha, f"{self.url}/{quote(path)}")
        return (
            sorted(entries.values(), key=lambda entry: entry.path),
            sorted(skipped.values(), key=lambda skip: skip.path),
        )

    def _files(self) -> Iterator[tuple[str, _Node]]:
        """Yield all blobs; where a tree is too large for one answer, folder by folder."""
        folders = [("", self.commit)]
        while folders:
            folder, tree_id = folders.pop()
            tree = self._tree(tree_id, recursive=True)
            if tree.truncated:
                tree = self._tree(tree_id, recursive=False)
                if tree.truncated:
                    raise SourceUnusable(
                        f"The folder {folder or '/'} has more files than GitHub's API lists: "
                        "use a source of the kind git."
                    )
                folders += [
                    (path, node.sha)
                    for node in tree.tree
                    if node.type == "tree" and self.wanted.enters(path := _join(folder, node.path))
                ]
            for node in tree.tree:
                if node.type == "blob":
                    yield _join(folder, node.path), node

    def _tree(self, tree_id: str, *, recursive: bool) -> _Tree:
        self._requests += 1
        if self._requests > _MAX_TREES:
            raise SourceUnusable(
                "The repository is too large for GitHub's API: use a source of the kind git."
            )
        query = "?recursive=1" if recursive else ""
        try:
            answer = self.api.get(
                f"{self.repository_path}/git/trees/{tree_id}{query}", max_bytes=_MAX_TREE_BYTES
            )
        except AnswerTooLarge as error:
            raise SourceUnavailable("GitHub's listing is larger than it can be.") from error
        if not answer.is_ok:
            raise SourceUnavailable("The repository changed while it was listed.")
        return parse(_Tree, answer.body)

    def _unsuitable(self, path: str, node: _Node) -> str | None:
        if "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
            return "has a name that no file can have"
        if node.mode == _LINK_MODE:
            return "is a symbolic link, which is not followed on GitHub"
        if node.mode not in _REGULAR_MODES:
            return "is not a regular file"
        return too_large(self.max_bytes) if node.size > self.max_bytes else None


def parse(model: type[_Model], body: bytes) -> _Model:
    """Read an answer in JSON.

    Raises:
        SourceUnavailable: it is no JSON, or says something else.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise SourceUnavailable("GitHub's answer is not what its API promises.") from error


def too_large(max_bytes: int) -> str:
    """Say why a large file is left out."""
    return f"is larger than {max_bytes / 1_000_000:.3g} MB (the setting MAX_DOCUMENT_BYTES)"


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
