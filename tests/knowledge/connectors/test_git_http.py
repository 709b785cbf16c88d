"""Repositories behind git's HTTP server: tokens, what is transferred, servers that misbehave."""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.knowledge.connectors import git_process, git_refs
from app.knowledge.exceptions import SourceUnavailable, SourceUnusable
from tests.knowledge.connectors.git_support import GitServer, Place, Repository, serve_git

TOKEN = "t0p-secret-t0ken"
WAIT_SEC = 20  # less than it takes git to give up by itself


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(root=tmp_path / "none", folder=tmp_path / "tmp")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "served" / "docs.git")
    repository.commit({"a.md": "A"})
    return repository


@pytest.fixture
def server(repository: Repository) -> Iterator[GitServer]:
    with serve_git(repository.path.parent) as server:
        yield server


def test_a_public_repository_is_read(place: Place, server: GitServer) -> None:
    assert place.contents(f"{server.url}/docs.git") == {"a.md": b"A"}


def test_no_change_costs_one_question(place: Place, server: GitServer) -> None:
    url = f"{server.url}/docs.git"
    state = place.listing(url).state
    server.paths.clear()
    with place.open(url, state=state) as snapshot:
        assert snapshot.listing is None
    assert [path for path in server.paths if "upload-pack" in path] == [
        "/docs.git/info/refs?service=git-upload-pack",
        "/docs.git/git-upload-pack",
    ]


@pytest.mark.parametrize("second_protocol", [True, False])
def test_only_the_documents_that_are_read_are_transferred(
    place: Place, repository: Repository, server: GitServer, second_protocol: bool
) -> None:
    if not second_protocol:
        repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    server.second_protocol = second_protocol
    noise: dict[str | bytes, str | bytes] = {
        name: os.urandom(200_000) for name in ("film.mp4", "a.md", "b.md")
    }
    repository.commit(noise)
    assert place.contents(f"{server.url}/docs.git", ["b.md"]) == {"b.md": noise["b.md"]}
    assert 200_000 < server.bytes_sent < 210_000


def test_a_server_that_leaves_nothing_out_is_read_all_the_same(
    place: Place, repository: Repository, server: GitServer
) -> None:
    repository.git("config", "uploadpack.allowFilter", "false")
    assert place.contents(f"{server.url}/docs.git") == {"a.md": b"A"}


def test_a_server_that_gives_no_single_files_is_read_all_the_same(
    place: Place, server: GitServer
) -> None:
    server.second_protocol = False
    assert place.contents(f"{server.url}/docs.git") == {"a.md": b"A"}


def test_a_push_while_such_a_server_is_read_means_to_try_again(
    place: Place, repository: Repository, server: GitServer
) -> None:
    server.second_protocol = False
    with place.open(f"{server.url}/docs.git") as snapshot:
        assert snapshot.listing is not None
        repository.commit({"b.md": "B"})
        with pytest.raises(SourceUnavailable, match="changed while it was read"):
            list(snapshot.read(snapshot.listing.entries))


def test_a_push_after_the_listing_changes_nothing_of_it(
    place: Place, repository: Repository, server: GitServer
) -> None:
    with place.open(f"{server.url}/docs.git") as snapshot:
        assert snapshot.listing is not None
        repository.commit({"b.md": "B"})
        assert [entry.path for entry, _ in snapshot.read(snapshot.listing.entries)] == ["a.md"]


def test_a_private_repository_is_read_with_its_token(place: Place, server: GitServer) -> None:
    server.password = TOKEN
    assert place.contents(f"{server.url}/docs.git", token=TOKEN) == {"a.md": b"A"}


def test_a_token_can_have_a_user_name(place: Place, server: GitServer) -> None:
    server.password = TOKEN
    place.listing(f"{server.url}/docs.git", token=f"deploy:{TOKEN}")
    assert set(server.passwords) == {f"deploy:{TOKEN}"}


def test_a_private_repository_is_refused_without_a_token(place: Place, server: GitServer) -> None:
    server.password = TOKEN
    with pytest.raises(SourceUnusable, match="SOURCE_TOKENS"):
        place.listing(f"{server.url}/docs.git")


@pytest.mark.parametrize("refusal", [401, 403])
def test_a_wrong_token_is_refused_and_never_told(
    place: Place, server: GitServer, caplog: pytest.LogCaptureFixture, refusal: int
) -> None:
    caplog.set_level(logging.DEBUG)
    server.password = "another"
    server.refusal = refusal
    with pytest.raises(SourceUnusable, match="SOURCE_TOKENS") as raised:
        place.listing(f"{server.url}/docs.git", token=TOKEN)
    assert server.passwords == [f"token:{TOKEN}"]
    assert TOKEN not in str(raised.value)
    assert TOKEN not in str(raised.value.__cause__)
    assert TOKEN not in caplog.text


def test_a_public_repository_does_not_get_the_token(place: Place, server: GitServer) -> None:
    place.listing(f"{server.url}/docs.git", token=TOKEN)
    assert server.passwords == []


def test_another_server_does_not_get_the_token(
    place: Place, repository: Repository, server: GitServer
) -> None:
    server.password = TOKEN
    with (
        serve_git(repository.path.parent, redirect=server.url) as first,
        pytest.raises(SourceUnusable),
    ):
        place.listing(f"{first.url}/docs.git", token=TOKEN)
    assert server.paths != []
    assert server.passwords == []


def test_a_moved_repository_is_found(
    place: Place, repository: Repository, server: GitServer
) -> None:
    with serve_git(repository.path.parent, redirect=server.url) as first:
        assert place.contents(f"{first.url}/docs.git") == {"a.md": b"A"}


def test_the_token_is_in_no_file_and_on_no_command_line(
    place: Place, server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.password = TOKEN
    log = tmp_path / "commands"
    spy = tmp_path / "bin" / "git"
    spy.parent.mkdir()
    path = os.environ["PATH"]
    spy.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >>'{log}'\nPATH='{path}' exec git \"$@\"\n")
    spy.chmod(0o700)
    monkeypatch.setenv("PATH", f"{spy.parent}:{path}")
    with place.open(f"{server.url}/docs.git", token=TOKEN) as snapshot:
        assert snapshot.listing is not None
        list(snapshot.read(snapshot.listing.entries))
        files = [path for path in place.folder.rglob("*") if path.is_file()]
        assert any(path.name == "config" for path in files)
        assert not any(TOKEN.encode() in path.read_bytes() for path in files)
    assert "ls-remote" in log.read_text()
    assert TOKEN not in log.read_text()


def test_a_token_with_a_line_break_inside_is_refused(place: Place, server: GitServer) -> None:
    with pytest.raises(SourceUnusable, match="SOURCE_TOKENS"):
        place.listing(f"{server.url}/docs.git", token="a\nhost=evil.example")
    assert server.paths == []


def test_more_than_fits_on_the_disk_is_refused(
    place: Place, repository: Repository, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_process, "_MAX_FILE_BYTES", 100_000)
    repository.git("config", "uploadpack.allowFilter", "false")
    repository.commit({"a.md": "A", "film.mp4": os.urandom(200_000)})
    with pytest.raises(SourceUnusable, match="larger than bRAG can read"):
        place.listing(f"{server.url}/docs.git")


def test_a_missing_repository_is_refused(place: Place, server: GitServer) -> None:
    with pytest.raises(SourceUnusable, match="There is no repository"):
        place.listing(f"{server.url}/gone.git")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_means_to_try_again(
    place: Place, server: GitServer, status: int
) -> None:
    server.status = status
    with pytest.raises(SourceUnavailable):
        place.listing(f"{server.url}/docs.git")


def test_a_host_that_does_not_answer_means_to_try_again(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(SourceUnavailable, match="does not answer"):
        place.listing(f"http://127.0.0.1:{port}/docs.git")


def test_a_silent_server_is_given_up_and_git_is_gone(
    place: Place, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_refs, "_TIMEOUT_SEC", 0.5)
    server.silent = True
    with pytest.raises(SourceUnavailable, match="took too long"):
        place.listing(f"{server.url}/docs.git")
    assert server.disconnected.wait(WAIT_SEC)
    assert place.left_over() == []


def test_git_is_gone_when_its_process_is_killed(place: Place, server: GitServer) -> None:
    server.silent = True
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.knowledge.connectors.git_support import Place\n"
        "Place(Path('/nowhere'), Path(sys.argv[1])).listing(sys.argv[2])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(place.folder), f"{server.url}/docs.git"]
    ) as process:
        assert server.connected.wait(WAIT_SEC)
        process.send_signal(signal.SIGKILL)
    assert server.disconnected.wait(WAIT_SEC)


@pytest.fixture
def ssh_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of ssh, a script that notes its options and runs the command on this machine."""
    log = tmp_path / "options"
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" >>'{log}'\n"
        'for command; do :; done\nunset GIT_DIR\neval "$command"\n'
    )
    ssh.chmod(0o700)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    return log


@pytest.mark.parametrize("form", ["ssh://git@host.example:22{}", "git@host.example:{}"])
def test_an_ssh_repository_is_read_without_asking_anybody(
    place: Place, repository: Repository, ssh_options: Path, form: str
) -> None:
    assert place.contents(form.format(repository.path)) == {"a.md": b"A"}
    options = ssh_options.read_text().splitlines()
    assert "BatchMode=yes" in options
    assert "git@host.example" in options


def test_every_document_has_its_page_at_this_commit(
    place: Place, repository: Repository, ssh_options: Path
) -> None:
    commit = repository.commit({"docs/a b#ü.md": "A"})
    entry = place.listing(f"git@github.example:{repository.path}").entries[0]
    project = str(repository.path).removesuffix(".git")
    assert entry.url == f"https://github.example{project}/blob/{commit}/docs/a%20b%23%C3%BC.md"
