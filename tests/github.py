"""GitHub's REST API on loopback: real git objects, tokens, ETags, rate limits, and faults.

Only what reading a repository needs; written after https://docs.github.com/en/rest.
"""

import hashlib
import itertools
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from app.knowledge.connectors.config import GitHubConfig
from app.knowledge.connectors.github import GitHubConnector
from app.knowledge.connectors.models import Entry, Fetched, Gone, Listing

__all__ = ["NAME", "GitHub", "Link", "Repository", "Source", "Submodule", "blob_id", "refuse"]

NAME = "octo/Docs"

_PATH = re.compile(
    r"/(?:repos/(?P<name>[^/]+/[^/]+)|repositories/(?P<id>[0-9]+))"
    r"(?P<rest>(?:/(?P<kind>commits|git/trees|git/blobs)/(?P<key>.+))?)"
)

Fault = Callable[[Request], Awaitable[Response | None]]


class Link(bytes):
    """The target of a symbolic link, as a file's content."""


class Submodule(bytes):
    """Another repository's commit, in a file's place."""


Files = Mapping[str, bytes]


@dataclass
class Repository:
    """A repository; `commit` replaces the files of a branch."""

    id: int
    name: str
    default_branch: str = "main"
    # Only who has this token sees it.
    token: str | None = None
    # How many entries one answer lists.
    tree_limit: int = 100_000
    branches: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    trees: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Files, branch: str = "main") -> str:
        """Put a branch on a new commit with exactly these files; return its id."""
        tree = self._tree(files)
        commit = hashlib.sha1(f"{tree} {len(self.commits)}".encode()).hexdigest()
        self.commits[commit] = tree
        self.branches[branch] = commit
        return commit

    def force_push(self, files: Files, branch: str = "main") -> str:
        """The same, with everything that was there before forgotten."""
        for objects in (self.blobs, self.trees, self.commits):
            objects.clear()
        return self.commit(files, branch)

    def _tree(self, files: Files) -> str:
        nodes: list[dict[str, Any]] = []
        for name, group in itertools.groupby(sorted(files), key=lambda path: path.split("/")[0]):
            paths = list(group)
            if paths == [name]:
                nodes.append({"path": name} | self._leaf(files[name]))
            else:
                below = {path.removeprefix(f"{name}/"): files[path] for path in paths}
                sha = self._tree(below)
                nodes.append({"path": name, "mode": "040000", "type": "tree", "sha": sha})
        sha = hashlib.sha1(repr(nodes).encode()).hexdigest()
        self.trees[sha] = nodes
        return sha

    def _leaf(self, data: bytes) -> dict[str, Any]:
        if isinstance(data, Submodule):
            return {"mode": "160000", "type": "commit", "sha": data.decode()}
        sha = blob_id(data)
        self.blobs[sha] = bytes(data)
        mode = "120000" if isinstance(data, Link) else "100644"
        return {"mode": mode, "type": "blob", "sha": sha, "size": len(data)}

    def walk(self, tree: str, *, recursive: bool, folder: str = "") -> list[dict[str, Any]]:
        """List a tree as GitHub does, folders before what is in them."""
        nodes = []
        for node in self.trees[tree]:
            path = folder + node["path"]
            nodes.append(node | {"path": path})
            if recursive and node["type"] == "tree":
                nodes += self.walk(node["sha"], recursive=True, folder=f"{path}/")
        return nodes


class GitHub:
    """The server; set `fault` to a function that may answer in its place."""

    def __init__(self) -> None:
        self.url = ""
        self.repositories: dict[str, Repository] = {}
        self.renamed: dict[str, Repository] = {}
        self.tokens: set[str] = set()
        self.remaining = 5_000
        self.reset_at = time.time() + 3_600
        # Each request's path, and all their headers.
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.fault: Fault | None = None
        self.app = Starlette(routes=[Route("/{path:path}", self._handle)])

    def add(self, name: str, *, token: str | None = None) -> Repository:
        """Create a repository, private if a token is given."""
        repository = Repository(len(self.repositories) + 1, name, token=token)
        self.repositories[name] = repository
        if token:
            self.tokens.add(token)
        return repository

    def rename(self, repository: Repository, name: str) -> None:
        """Give a repository another name; the old one redirects to its number."""
        self.renamed[repository.name] = self.repositories.pop(repository.name)
        repository.name = name
        self.repositories[name] = repository

    async def _handle(self, request: Request) -> Response:
        path = request.scope["path"].removeprefix("/api/v3")
        self.asked.append(path)
        self.headers.append(dict(request.headers))
        if self.fault and (answer := await self.fault(request)):
            return answer
        try:
            self._admit(request)
            answer = self._answer(request, path)
        except _Refusal as refusal:
            answer = refuse(refusal.status, str(refusal))
        if answer.status_code != 304:
            self.remaining -= 1
        answer.headers["X-RateLimit-Remaining"] = str(max(self.remaining, 0))
        answer.headers["X-RateLimit-Reset"] = str(int(self.reset_at))
        return answer

    def _admit(self, request: Request) -> None:
        if not request.headers.get("User-Agent"):
            raise _Refusal(403, "Request forbidden by administrative rules.")
        if request.headers.get("X-GitHub-Api-Version") != "2022-11-28":
            raise _Refusal(400, "Not a supported version")
        if (token := _token(request)) is not None and token not in self.tokens:
            raise _Refusal(401, "Bad credentials")
        if self.remaining <= 0:
            if time.time() < self.reset_at:
                raise _Refusal(403, "API rate limit exceeded for 127.0.0.1.")
            self.remaining, self.reset_at = 5_000, time.time() + 3_600

    def _answer(self, request: Request, path: str) -> Response:
        match = _PATH.fullmatch(path)
        if match is None:
            raise _Refusal(404, "Not Found")
        if moved := self.renamed.get(match["name"] or ""):
            place = f"{self.url}/repositories/{moved.id}{match['rest']}"
            return RedirectResponse(f"{place}?{request.url.query}", status_code=301)
        repository = self.repositories.get(match["name"] or "") or next(
            (it for it in self.repositories.values() if str(it.id) == match["id"]), None
        )
        if repository is None or repository.token not in (None, _token(request)):
            raise _Refusal(404, "Not Found")
        answer = _READERS[match["kind"]](repository, match["key"], request)
        etag = answer.headers.get("ETag") or f'W/"{hashlib.md5(answer.body).hexdigest()}"'
        if etag == request.headers.get("If-None-Match"):
            return Response(status_code=304, headers={"ETag": etag})
        answer.headers["ETag"] = etag
        return answer


class Source:
    """A source of that server, used as bRAG does: each call in a thread, with its own client."""

    def __init__(
        self, github: GitHub, *, token: str | None = None, max_bytes: int = 1_000, **config: Any
    ) -> None:
        api_url = config.pop("api_url", github.url)
        self._config = GitHubConfig(kind="github", **({"repository": NAME} | config))
        self._arguments: Any = {
            "api_url": api_url,
            "token": SecretStr(token) if token is not None else None,
            "max_bytes": max_bytes,
        }

    def _connect(self) -> GitHubConnector:
        return GitHubConnector(self._config, **self._arguments)

    async def list(self, state: Mapping[str, Any] | None = None) -> Listing | None:
        def call() -> Listing | None:
            with self._connect() as connector:
                return connector.list(state or {})

        return await anyio.to_thread.run_sync(call)

    async def listing(self, state: Mapping[str, Any] | None = None) -> Listing:
        listing = await self.list(state)
        assert listing is not None
        return listing

    async def fetch(self, entry: Entry) -> Fetched | Gone:
        def call() -> Fetched | Gone:
            with self._connect() as connector:
                return connector.fetch(entry)

        return await anyio.to_thread.run_sync(call)


class _Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _token(request: Request) -> str | None:
    authorization = request.headers.get("Authorization")
    return authorization and authorization.removeprefix("Bearer ")


def _repository(repository: Repository, key: str, request: Request) -> Response:
    return JSONResponse(
        {
            "id": repository.id,
            "full_name": repository.name,
            "private": repository.token is not None,
            "html_url": f"https://github.com/{repository.name}",
            "default_branch": repository.default_branch,
        }
    )


def _commit(repository: Repository, ref: str, request: Request) -> Response:
    assert request.headers["Accept"] == "application/vnd.github.sha"
    if not repository.commits:
        raise _Refusal(409, "Git Repository is empty.")
    sha = repository.branches.get(ref) or (ref if ref in repository.commits else None)
    if sha is None:
        raise _Refusal(422, f"No commit found for SHA: {ref}")
    return PlainTextResponse(sha, headers={"ETag": f'"{sha}"'})


def _tree(repository: Repository, key: str, request: Request) -> Response:
    tree = repository.commits.get(key, key)
    if tree not in repository.trees:
        raise _Refusal(404, "Not Found")
    nodes = repository.walk(tree, recursive="recursive" in request.query_params)
    limit = repository.tree_limit
    return JSONResponse({"sha": tree, "tree": nodes[:limit], "truncated": len(nodes) > limit})


def _blob(repository: Repository, key: str, request: Request) -> Response:
    if key not in repository.blobs:
        raise _Refusal(404, "Not Found")
    accept = request.headers["Accept"]
    assert accept == "application/vnd.github.raw+json"
    return Response(repository.blobs[key], media_type=accept)


_READERS: dict[str | None, Callable[[Repository, str, Request], Response]] = {
    None: _repository,
    "commits": _commit,
    "git/trees": _tree,
    "git/blobs": _blob,
}


def blob_id(data: bytes) -> str:
    """Git's id of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def refuse(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """Answer with an error as GitHub words it."""
    body = {"message": message, "documentation_url": "https://docs.github.com/rest"}
    return JSONResponse(body, status, headers=headers)
