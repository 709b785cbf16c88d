"""Repositories as sources of documents: what is listed, what is read, what is left out."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.knowledge.connectors.git_clone import GitClone
from app.knowledge.connectors.git_errors import GitFailed
from app.knowledge.connectors.git_process import Git
from app.knowledge.connectors.git_refs import find_tip
from app.knowledge.connectors.git_remote import parse_remote
from app.knowledge.connectors.git_workspace import workspace
from app.knowledge.exceptions import SourceUnavailable, SourceUnusable
from tests.knowledge.connectors.git_support import (
    LINK,
    SUBMODULE,
    Place,
    Repository,
    find,
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(root=tmp_path / "repositories", folder=tmp_path / "tmp")


@pytest.fixture
def repository(place: Place) -> Repository:
    return Repository(place.root / "docs.git")


def test_documents_are_listed_with_their_blobs_and_read_as_they_are(
    place: Place, repository: Repository
) -> None:
    repository.commit({"a.md": "# A\r\n", "x/y/b.txt": "", "main.py": "no document"})
    assert place.versions(repository.path) == {
        "a.md": repository.blob(b"# A\r\n"),
        "x/y/b.txt": repository.blob(b""),
    }
    assert place.contents(repository.path) == {"a.md": b"# A\r\n", "x/y/b.txt": b""}


def test_only_the_entries_asked_for_are_read_in_their_order(
    place: Place, repository: Repository
) -> None:
    repository.commit({"a.md": "A", "b.md": "B", "c.md": "A"})
    with place.open(repository.path) as snapshot:
        assert snapshot.listing is not None
        entries = [find(snapshot.listing.entries, path) for path in ("c.md", "a.md")]
        assert [entry.path for entry, _ in snapshot.read(entries)] == ["c.md", "a.md"]
        assert list(snapshot.read([])) == []


def test_nothing_is_listed_while_the_branch_stays_at_its_commit(
    place: Place, repository: Repository
) -> None:
    commit = repository.commit({"a.md": "A"})
    state = place.listing(repository.path).state
    assert state["commit"] == commit
    with place.open(repository.path, state=state) as snapshot:
        assert snapshot.listing is None


def test_a_renamed_file_keeps_its_version(place: Place, repository: Repository) -> None:
    repository.commit({"a.md": "A", "b.md": "B"})
    before = place.listing(repository.path)
    repository.commit({"new/a.md": "A", "b.md": "changed"})
    after = place.versions(repository.path, state=before.state)
    assert after["new/a.md"] == find(before.entries, "a.md").version
    assert after["b.md"] != find(before.entries, "b.md").version


def test_a_rewritten_history_is_listed_anew(place: Place, repository: Repository) -> None:
    repository.commit({"a.md": "A"})
    state = place.listing(repository.path).state
    repository.git("update-ref", "-d", "refs/heads/main")
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.commit({"b.md": "B"})
    repository.git("gc", "--quiet", "--prune=now")
    assert list(place.versions(repository.path, state=state)) == ["b.md"]


def test_another_filter_lists_the_same_commit_anew(place: Place, repository: Repository) -> None:
    repository.commit({"docs/a.md": "A", "b.md": "B"})
    state = place.listing(repository.path).state
    versions = place.versions(repository.path, state=state, path_prefixes=["docs"])
    assert list(versions) == ["docs/a.md"]


def test_another_size_limit_lists_the_same_commit_anew(
    place: Place, repository: Repository
) -> None:
    repository.commit({"a.md": "A"})
    state = place.listing(repository.path).state
    place.max_bytes += 1
    assert place.listing(repository.path, state=state).state != state


def test_a_branch_can_be_chosen(place: Place, repository: Repository) -> None:
    repository.commit({"a.md": "A"})
    repository.commit({"b.md": "B"}, branch="release/1.0")
    repository.commit({"c.md": "C"}, branch="old/release/1.0")
    assert list(place.versions(repository.path, branch="release/1.0")) == ["b.md"]


@pytest.mark.parametrize("annotation", [[], ["-a", "-m", "a release"]])
def test_a_tag_can_be_chosen_like_a_branch(
    place: Place, repository: Repository, annotation: list[str]
) -> None:
    commit = repository.commit({"a.md": "A"})
    repository.git("tag", *annotation, "v1", commit)
    repository.commit({"b.md": "B"})
    listing = place.listing(repository.path, branch="v1")
    assert [entry.path for entry in listing.entries] == ["a.md"]
    assert listing.state["commit"] == commit
    with place.open(repository.path, branch="v1", state=listing.state) as snapshot:
        assert snapshot.listing is None


def test_a_tag_of_a_file_is_refused(place: Place, repository: Repository) -> None:
    repository.commit({"a.md": "A"})
    repository.git("tag", "v1", repository.blob(b"A"))
    with pytest.raises(SourceUnusable, match="not one of a commit"):
        place.listing(repository.path, branch="v1")


def test_a_missing_branch_is_named(place: Place, repository: Repository) -> None:
    repository.commit({"a.md": "A"}, branch="old/release")
    with pytest.raises(SourceUnusable, match="neither a branch nor a tag release"):
        place.listing(repository.path, branch="release")


def test_an_empty_repository_is_refused(place: Place, repository: Repository) -> None:
    with pytest.raises(SourceUnusable, match="no commit"):
        place.listing(repository.path)


def test_a_vanished_repository_is_refused(place: Place) -> None:
    place.root.mkdir()
    with pytest.raises(SourceUnusable, match="There is no repository"):
        place.listing(place.root / "gone.git")


def test_a_folder_that_is_no_repository_is_refused(place: Place) -> None:
    (place.root / "folder").mkdir(parents=True)
    with pytest.raises(SourceUnusable, match="is not a git repository"):
        place.listing(place.root / "folder")


def test_names_with_newlines_and_spaces_work(place: Place, repository: Repository) -> None:
    name = "a\nb \t\"c'.md"
    repository.commit({name: "A"})
    assert place.contents(repository.path) == {name: b"A"}


def test_a_name_that_is_not_utf8_is_skipped_in_printable_form(
    place: Place, repository: Repository
) -> None:
    repository.commit({b"caf\xe9.md": "A", b"\xe9.png": "B", "good.md": "C"})
    listing = place.listing(repository.path)
    assert [entry.path for entry in listing.entries] == ["good.md"]
    assert [(skip.path, skip.reason) for skip in listing.skipped] == [
        ("caf\N{REPLACEMENT CHARACTER}.md", "has a name that is not valid UTF-8")
    ]


def test_links_are_skipped_wherever_they_lead(place: Place, repository: Repository) -> None:
    repository.commit(
        {"loop.md": "loop.md", "out.md": "/etc/passwd", "dir": "dir", "a.md": "A"},
        modes={"loop.md": LINK, "out.md": LINK, "dir": LINK},
    )
    listing = place.listing(repository.path)
    assert [entry.path for entry in listing.entries] == ["a.md"]
    assert [skip.path for skip in listing.skipped] == ["loop.md", "out.md"]


def test_a_submodule_is_no_document(place: Place, repository: Repository) -> None:
    repository.commit(
        {
            "a.md": "A",
            "module.md": "1" * 40,
            ".gitmodules": '[submodule "m"]\n\tpath = module.md\n\turl = /nowhere\n',
        },
        modes={"module.md": SUBMODULE},
    )
    assert place.contents(repository.path) == {"a.md": b"A"}


def test_hidden_files_are_left_out_silently(place: Place, repository: Repository) -> None:
    repository.commit({".github/a.md": "A", "node_modules/x/b.md": "B", "c.md": "C"})
    listing = place.listing(repository.path)
    assert [entry.path for entry in listing.entries] == ["c.md"]
    assert listing.skipped == []


def test_a_file_in_git_lfs_is_skipped(place: Place, repository: Repository) -> None:
    repository.commit(
        {
            "a.md": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
            ".gitattributes": "*.md filter=lfs diff=lfs merge=lfs -text\n",
        }
    )
    assert place.contents(repository.path) == {"a.md": "is stored in Git LFS, which is not read"}


def test_a_huge_file_is_skipped_and_the_others_are_read(
    place: Place, repository: Repository
) -> None:
    repository.commit({"a.md": "A", "huge.md": bytes(100_000_000), "z.md": "Z"})
    assert place.contents(repository.path) == {
        "a.md": b"A",
        "huge.md": "is larger than 1 MB (the setting MAX_DOCUMENT_BYTES)",
        "z.md": b"Z",
    }


def test_a_repository_of_a_billion_files_is_refused(place: Place, repository: Repository) -> None:
    node = f"100644 blob {repository.blob(b'A')}"
    for _ in range(9):
        lines = "".join(f"{node}\t{digit}{'x' * 200}.md\n" for digit in range(10))
        node = f"040000 tree {repository.git('mktree', data=lines.encode())}"
    repository.commit_tree(node.split()[2])
    with pytest.raises(SourceUnusable, match="larger than bRAG can read"):
        place.listing(repository.path)


def test_the_newer_kind_of_object_ids_works(place: Place) -> None:
    repository = Repository(place.root / "new.git", object_format="sha256")
    repository.commit({"a.md": "A"})
    assert place.contents(repository.path) == {"a.md": b"A"}


def test_a_checked_out_repository_works(place: Place, repository: Repository) -> None:
    repository.commit({"a.md": "A"})
    work_tree = place.root / "work tree"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", repository.path.as_uri(), work_tree],
        check=True,
        timeout=60,
    )
    assert place.contents(work_tree) == {"a.md": b"A"}
    assert place.contents(work_tree.as_uri()) == {"a.md": b"A"}


def test_a_bundle_works(place: Place, repository: Repository) -> None:
    repository.commit({"a.md": "A"})
    bundle = place.root / "docs.bundle"
    repository.git("bundle", "create", "--quiet", str(bundle), "HEAD", "main")
    state = place.listing(bundle).state
    assert place.contents(bundle) == {"a.md": b"A"}
    assert place.contents(bundle.as_uri(), branch="main") == {"a.md": b"A"}
    with place.open(bundle, state=state) as snapshot:
        assert snapshot.listing is None


def test_a_bundle_of_the_last_changes_only_is_refused(place: Place, repository: Repository) -> None:
    first = repository.commit({"a.md": "A"})
    repository.commit({"b.md": "B"})
    bundle = place.root / "docs.bundle"
    repository.git("bundle", "create", "--quiet", str(bundle), f"{first}..main", "main")
    with pytest.raises(SourceUnusable, match="make one of the whole history"):
        place.listing(bundle, branch="main")


def test_a_file_that_is_no_bundle_is_refused(place: Place) -> None:
    place.root.mkdir()
    (place.root / "note.txt").write_text("hello")
    with pytest.raises(SourceUnusable, match="neither a git repository nor a bundle"):
        place.listing(place.root / "note.txt")


def test_a_damaged_repository_can_be_tried_again(place: Place, repository: Repository) -> None:
    repository.commit({"a.md": "A"})
    blob = repository.blob(b"A")
    (repository.path / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(SourceUnavailable):
        place.contents(repository.path)


def test_a_copy_that_breaks_is_not_taken_for_a_smaller_repository(
    place: Place, repository: Repository
) -> None:
    repository.commit({"a.md": "A"})
    remote = parse_remote(str(repository.path), [place.root])
    with workspace(place.folder) as home:
        git = Git(home, remote, None)
        clone = GitClone(git, find_tip(git, None), is_bundle=False)
        for pack in home.rglob("*.pack"):
            pack.unlink()
        with pytest.raises(GitFailed):
            list(clone.files())


def test_the_configuration_of_the_server_s_user_does_not_matter(
    place: Place, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit({"a.md": "A"})
    config = tmp_path / ".gitconfig"
    config.write_text('[url "/nowhere"]\n\tinsteadOf = file://\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert place.contents(repository.path) == {"a.md": b"A"}


def test_a_server_without_git_is_told(
    place: Place, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceUnusable, match="git is not installed"):
        place.listing(repository.path)


def test_a_file_of_a_local_repository_has_no_page_on_the_web(
    place: Place, repository: Repository
) -> None:
    repository.commit({"a.md": "A"})
    assert find(place.listing(repository.path).entries, "a.md").url is None


def test_nothing_temporary_is_left_behind(place: Place, repository: Repository) -> None:
    repository.commit({"a.md": "A"})
    with place.open(repository.path):
        assert len(place.left_over()) == 1
    assert place.left_over() == []


def test_an_error_of_the_caller_stays_what_it_is(place: Place, repository: Repository) -> None:
    repository.commit({"a.md": "A"})
    with pytest.raises(OSError, match="the caller's"), place.open(repository.path):
        raise OSError("the caller's")
    assert place.left_over() == []


def test_what_a_killed_process_left_is_removed_by_the_next(
    place: Place, repository: Repository
) -> None:
    repository.commit({"a.md": "A"})
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from app.knowledge.connectors.git_workspace import workspace\n"
        "with workspace(Path(sys.argv[1])) as own:\n"
        "    (own / 'pack').write_text('half')\n"
        "    print(own, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(place.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        place.listing(repository.path)
        assert left.exists(), "a living process keeps its folder"
        process.kill()
        process.wait()
        place.listing(repository.path)
        assert not left.exists()


def test_a_folder_that_can_t_be_written_is_told(
    place: Place, repository: Repository, tmp_path: Path
) -> None:
    repository.commit({"a.md": "A"})
    place.folder = tmp_path / "file" / "tmp"
    place.folder.parent.write_text("no folder")
    with pytest.raises(SourceUnavailable, match="VAR_DIR"):
        place.listing(repository.path)
