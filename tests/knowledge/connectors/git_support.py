"""Repositories made by git itself, and a server that gives them over HTTP."""

import base64
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from app.knowledge.connectors.config import GitConfig
from app.knowledge.connectors.git import open_git
from app.knowledge.connectors.models import Content, Entry, Listing, OpenSnapshot
from app.knowledge.files import Skipped

__all__ = ["GitServer", "Place", "Repository", "serve_git"]

FILE = "100644"
LINK = "120000"
SUBMODULE = "160000"


def run_git(repository: Path, *arguments: str, data: bytes = b"") -> bytes:
    """Run git on a repository, for a test to set the stage."""
    return subprocess.run(
        ["git", *arguments],
        input=data,
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
        env=os.environ
        | {
            "GIT_DIR": str(repository),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "A",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        },
    ).stdout


class Repository:
    """A bare repository, into which anything can be committed without a work tree."""

    def __init__(self, path: Path, object_format: str = "sha1") -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", f"--object-format={object_format}")
        self.git("symbolic-ref", "HEAD", "refs/heads/main")
        self.git("config", "uploadpack.allowFilter", "true")

    def git(self, *arguments: str, data: bytes = b"") -> str:
        """Run git on it."""
        return run_git(self.path, *arguments, data=data).decode().strip()

    def blob(self, data: bytes) -> str:
        """Store a content; returns its id."""
        return self.git("hash-object", "-w", "--stdin", data=data)

    def commit(
        self,
        files: Mapping[str | bytes, str | bytes],
        *,
        modes: Mapping[str | bytes, str] | None = None,
        branch: str = "main",
    ) -> str:
        """Make a commit of exactly these files, after the branch's last one; returns its id.

        The content of a submodule is the id of a commit.
        """
        (self.path / "index").unlink(missing_ok=True)
        lines = []
        for name, content in files.items():
            mode = (modes or {}).get(name, FILE)
            data = content.encode() if isinstance(content, str) else content
            object_id = data.decode() if mode == SUBMODULE else self.blob(data)
            lines.append(f"{mode} {object_id}\t".encode() + os.fsencode(name) + b"\0")
        self.git("update-index", "-z", "--index-info", data=b"".join(lines))
        return self.commit_tree(self.git("write-tree"), branch=branch)

    def commit_tree(self, tree: str, *, branch: str = "main") -> str:
        """Make a commit of a tree, after the branch's last one; returns its id."""
        ref = f"refs/heads/{branch}"
        parents = self.git("for-each-ref", "--format=-p %(objectname)", ref).split()
        commit = self.git("commit-tree", tree, *parents, "-m", "a commit")
        self.git("update-ref", ref, commit)
        return commit


@dataclass
class Place:
    """What a worker has: allowed folders and a temporary one."""

    root: Path
    folder: Path
    max_bytes: int = 1_000_000

    def open(
        self,
        url: str | Path,
        *,
        state: Mapping[str, Any] | None = None,
        token: str | None = None,
        **config: Any,
    ) -> OpenSnapshot:
        """Open a repository as the worker does."""
        return open_git(
            GitConfig(kind="git", url=str(url), **config),
            token=None if token is None else SecretStr(token),
            state=state or {},
            allowed_roots=[self.root],
            folder=self.folder,
            max_bytes=self.max_bytes,
        )

    def listing(self, url: str | Path, **arguments: Any) -> Listing:
        """List a repository that has changed."""
        with self.open(url, **arguments) as snapshot:
            assert snapshot.listing is not None
            return snapshot.listing

    def versions(self, url: str | Path, **arguments: Any) -> dict[str, str]:
        """Return the ids of the documents' blobs by path."""
        return {entry.path: entry.version for entry in self.listing(url, **arguments).entries}

    def contents(
        self,
        url: str | Path,
        paths: Sequence[str] | None = None,
        **arguments: Any,
    ) -> dict[str, bytes | str]:
        """Read all documents, or these: their bytes, or why they are skipped."""
        with self.open(url, **arguments) as snapshot:
            assert snapshot.listing is not None
            entries = [
                entry for entry in snapshot.listing.entries if paths is None or entry.path in paths
            ]
            return {entry.path: _told(content) for entry, content in snapshot.read(entries)}

    def left_over(self) -> list[Path]:
        """Return the temporary folders that are there."""
        return [path for path in self.folder.iterdir() if path.is_dir()]


def _told(content: Content | Skipped) -> bytes | str:
    return content.reason if isinstance(content, Skipped) else content.data


def find(entries: Sequence[Entry], path: str) -> Entry:
    """Return the entry of a path."""
    return next(entry for entry in entries if entry.path == path)


@dataclass
class GitServer:
    """Git's own HTTP server for the repositories in a folder, and what it has seen."""

    root: Path
    url: str = ""
    # The password that it wants, whatever the user name.
    password: str | None = None
    # Its answer to a wrong one, which it repeats.
    refusal: int = 401
    # False: git's first protocol, as a proxy makes it that drops unknown headers.
    second_protocol: bool = True
    # Answer everything with this instead.
    status: int | None = None
    redirect: str | None = None
    # Answer nothing.
    silent: bool = False
    passwords: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    bytes_sent: int = 0
    # A silent server's client is there, and gone.
    connected: threading.Event = field(default_factory=threading.Event)
    disconnected: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve_git(root: Path, **options: Any) -> Iterator[GitServer]:
    """Serve a folder's repositories on loopback until the block ends."""
    server = GitServer(root, **options)

    class Handler(_Handler):
        state = server

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: GitServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a question for what there is."""
        self._handle()

    def do_POST(self) -> None:
        """Answer a question for objects."""
        self._handle()

    def _handle(self) -> None:
        state = self.state
        state.paths.append(self.path)
        if header := self.headers.get("Authorization"):
            state.passwords.append(base64.b64decode(header.removeprefix("Basic ")).decode())
        if state.silent:
            state.connected.set()
            self.rfile.read(1)
            state.disconnected.set()
            self.close_connection = True
        elif state.redirect is not None:
            self._answer(302, [("Location", state.redirect + self.path)])
        elif state.status is not None:
            self._answer(state.status, [])
        elif state.password is not None and not self._is_welcome():
            words = "\n".join(state.passwords).encode()
            status = state.refusal if words else 401
            headers = [("WWW-Authenticate", 'Basic realm="git"'), ("Content-Type", "text/plain")]
            self._answer(status, headers, words)
        else:
            self._run_backend()

    def _is_welcome(self) -> bool:
        return bool(self.headers.get("Authorization")) and (
            self.state.passwords[-1].partition(":")[2] == self.state.password
        )

    def _run_backend(self) -> None:
        url = urlsplit(self.path)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROJECT_ROOT": str(self.state.root),
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        if self.state.second_protocol:
            environment["GIT_PROTOCOL"] = self.headers.get("Git-Protocol", "")
        body = self._body()
        output = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env=environment | {"CONTENT_LENGTH": str(len(body))},
            stdout=subprocess.PIPE,
            check=False,
            timeout=60,
        ).stdout
        head, _, content = output.partition(b"\r\n\r\n")
        headers = [
            (name, value)
            for line in head.decode().splitlines()
            for name, _, value in [line.partition(": ")]
        ]
        status = dict(headers).get("Status", "200 OK")
        self._answer(int(status.split()[0]), headers, content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(
        self, status: int, headers: Sequence[tuple[str, str]], content: bytes = b""
    ) -> None:
        if self.command == "POST" and status != 200:
            self._body()
        self.send_response(status)
        for name, value in headers:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.state.bytes_sent += len(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""
