"""Which files of a folder are read, and what is said about the others."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.knowledge.exceptions import FolderError
from app.knowledge.files import FoundFile, Skipped, list_files, read_bytes

MEGABYTE = 1_000_000


def write(path: Path, content: bytes | str = "Some text.\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def found(root: Path) -> list[str]:
    return [file.path for file in list_files(root, max_bytes=MEGABYTE)[0]]


def skipped(root: Path) -> dict[str, str]:
    return {skip.path: skip.reason for skip in list_files(root, max_bytes=MEGABYTE)[1]}


def read_one(root: Path) -> bytes | Skipped:
    [file] = list_files(root, max_bytes=MEGABYTE)[0]
    return read_bytes(file, root)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """An empty folder, and no right to look into what is forbidden: root may read everything."""
    user = os.geteuid()
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    if user == 0:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(user)
        for path in folder.iterdir():
            path.chmod(0o700)
        shutil.rmtree(folder)


# What is listed


def test_every_kind_of_document_is_listed(tmp_path: Path) -> None:
    names = ["a.md", "b.mdx", "c.txt", "d.rst", "e.html", "f.htm", "g.pdf", "h.docx"]
    for name in names:
        write(tmp_path / name)

    assert found(tmp_path) == names


def test_documents_are_listed_sorted_by_path(tmp_path: Path) -> None:
    for name in ["b.md", "a/z.mdx", "a/b/c.txt", "READ.MD", "image.png", "code.py", "md", "a.md"]:
        write(tmp_path / name)

    files, skips = list_files(tmp_path, max_bytes=MEGABYTE)

    assert [file.path for file in files] == ["READ.MD", "a.md", "a/b/c.txt", "a/z.mdx", "b.md"]
    assert skips == []
    assert files[2] == FoundFile("a/b/c.txt", tmp_path.resolve() / "a/b/c.txt", 11)


def test_hidden_files_and_folders_and_node_modules_are_not_mentioned(tmp_path: Path) -> None:
    for name in [".git/a.md", ".venv/lib/b.txt", "node_modules/c/README.md", "d/.e.md", "f.md"]:
        write(tmp_path / name)
    (tmp_path / ".broken.md").symlink_to("nowhere")

    assert found(tmp_path) == ["f.md"]
    assert skipped(tmp_path) == {}


def test_a_folder_may_have_the_name_of_a_file(tmp_path: Path) -> None:
    write(tmp_path / "notes.md/inside.md")

    assert found(tmp_path) == ["notes.md/inside.md"]


def test_an_empty_folder_has_no_files(tmp_path: Path) -> None:
    assert list_files(tmp_path, max_bytes=MEGABYTE) == ([], [])


def test_one_file_can_be_the_root(tmp_path: Path) -> None:
    file = write(tmp_path / "notes.md", "# Notes")

    assert found(file) == ["notes.md"]
    assert read_one(file) == b"# Notes"


def test_a_relative_root_is_taken_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "docs/a.md")
    monkeypatch.chdir(tmp_path)

    assert found(Path("docs")) == ["a.md"]
    assert read_one(Path("docs")) == b"Some text.\n"


def test_a_root_behind_a_link_is_read(tmp_path: Path) -> None:
    write(tmp_path / "real/a.md")
    (tmp_path / "link").symlink_to("real")

    assert read_one(tmp_path / "link") == b"Some text.\n"


def test_a_file_over_the_limit_is_skipped_and_the_setting_named(tmp_path: Path) -> None:
    write(tmp_path / "at.md", b"x" * MEGABYTE)
    write(tmp_path / "over.md", b"x" * (MEGABYTE + 1))

    assert found(tmp_path) == ["at.md"]
    assert skipped(tmp_path) == {
        "over.md": "is larger than 1 MB (the setting MAX_DOCUMENT_BYTES)",
    }


def test_what_is_not_a_regular_file_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    monkeypatch.chdir(tmp_path)  # the path of a socket may have about 100 characters only
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.txt")

        assert found(tmp_path) == []
        assert skipped(tmp_path) == {
            "pipe.md": "is not a regular file",
            "socket.txt": "is not a regular file",
        }


def test_a_name_that_is_not_utf8_is_skipped_and_can_be_printed(tmp_path: Path) -> None:
    write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.md")))
    write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9/inside.md")))

    assert found(tmp_path) == []
    assert skipped(tmp_path) == {
        "caf�.md": "has a name that is not valid UTF-8",
        "caf�": "has a name that is not valid UTF-8",
    }


def test_names_in_every_script_are_kept(tmp_path: Path) -> None:
    names = ["größe 1.md", "漢字/メモ.txt", "😀.md", "line\nbreak.md"]
    for name in names:
        write(tmp_path / name)

    assert found(tmp_path) == sorted(names)


# Links


def test_a_link_to_a_file_inside_the_folder_is_read(tmp_path: Path) -> None:
    write(tmp_path / "a/real.md", "text")
    (tmp_path / "link.md").symlink_to("a/real.md")

    files, _ = list_files(tmp_path, max_bytes=MEGABYTE)

    assert [file.path for file in files] == ["a/real.md", "link.md"]
    assert [read_bytes(file, tmp_path) for file in files] == [b"text", b"text"]


def test_links_that_lead_outside_the_folder_are_skipped(tmp_path: Path) -> None:
    write(tmp_path / "root/a.md")
    write(tmp_path / "root-2/secret.md")
    (tmp_path / "root/file.md").symlink_to(tmp_path / "root-2/secret.md")
    (tmp_path / "root/folder").symlink_to("../root-2")
    (tmp_path / "root/chain.md").symlink_to("file.md")
    (tmp_path / "root/up").symlink_to("..")
    (tmp_path / "root/other.png").symlink_to("/dev/null")

    assert found(tmp_path / "root") == ["a.md"]
    outside = "is a link to a place outside the folder"
    assert skipped(tmp_path / "root") == dict.fromkeys(
        ["chain.md", "file.md", "folder", "up"], outside
    )


def test_loops_of_links_end(tmp_path: Path) -> None:
    write(tmp_path / "a/b/c.md")
    (tmp_path / "a/b/up").symlink_to("..")
    (tmp_path / "a/self").symlink_to(".")
    (tmp_path / "root").symlink_to(tmp_path)
    (tmp_path / "one.md").symlink_to("two.md")
    (tmp_path / "two.md").symlink_to("one.md")

    assert found(tmp_path) == ["a/b/c.md"]
    assert skipped(tmp_path) == {"one.md": "is a broken link", "two.md": "is a broken link"}


def test_a_linked_folder_is_listed_once_and_under_its_real_path_if_it_has_one(
    tmp_path: Path,
) -> None:
    write(tmp_path / "real/a.md")
    write(tmp_path / ".content/b.md")
    for number in [5, 1, 8, 3, 9, 2, 7, 4, 6]:
        (tmp_path / f"link-{number}").symlink_to("real")
        (tmp_path / f"docs-{number}").symlink_to(".content")

    assert found(tmp_path) == ["docs-1/b.md", "real/a.md"]


def test_a_broken_link_is_skipped(tmp_path: Path) -> None:
    write(tmp_path / "a.md")
    (tmp_path / "gone.md").symlink_to("nowhere.md")
    (tmp_path / "under.md").symlink_to("a.md/b.md")
    (tmp_path / "picture.png").symlink_to("nowhere.png")

    assert found(tmp_path) == ["a.md"]
    assert skipped(tmp_path) == {"gone.md": "is a broken link", "under.md": "is a broken link"}


# Folders that cannot be read


def test_a_missing_root_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"^There is no file or folder .*/nowhere\.$"):
        list_files(tmp_path / "nowhere", max_bytes=MEGABYTE)


@pytest.mark.parametrize("name", ["picture.png", "pipe.md"])
def test_a_root_that_is_no_document_is_an_error(tmp_path: Path, name: str) -> None:
    write(tmp_path / "picture.png")
    os.mkfifo(tmp_path / "pipe.md")

    with pytest.raises(FolderError, match=r"neither a folder nor a document \(\.md "):
        list_files(tmp_path / name, max_bytes=MEGABYTE)


@pytest.mark.parametrize("name", ["loop", "a.md/b", "x" * 300, "nul\0"])
def test_a_root_that_cannot_exist_is_an_error(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a.md")
    (tmp_path / "loop").symlink_to("loop")

    with pytest.raises(FolderError):
        list_files(tmp_path / name, max_bytes=MEGABYTE)


def test_a_root_whose_name_is_not_utf8_is_an_error_that_can_be_printed(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    write(root / "a.md")

    with pytest.raises(FolderError, match="must be valid UTF-8") as caught:
        list_files(root, max_bytes=MEGABYTE)
    assert caught.value.message.isprintable()


def test_a_root_without_permission_is_an_error(unprivileged: Path) -> None:
    unprivileged.joinpath("closed").mkdir(mode=0)

    with pytest.raises(FolderError, match="closed can't be read: permission denied"):
        list_files(unprivileged / "closed", max_bytes=MEGABYTE)


def test_a_folder_without_permission_is_skipped_and_the_rest_listed(unprivileged: Path) -> None:
    unprivileged.joinpath("closed").mkdir(mode=0)
    write(unprivileged / "open/a.md")

    assert found(unprivileged) == ["open/a.md"]
    assert skipped(unprivileged) == {"closed": "can't be read: permission denied"}


def test_a_file_without_permission_is_skipped(unprivileged: Path) -> None:
    write(unprivileged / "a.md").chmod(0)

    assert read_one(unprivileged) == Skipped(
        "a.md", "can't be read: permission denied", unreadable=True
    )


@pytest.mark.parametrize("content", [b"", b" \n\t\r\n"])
def test_an_empty_file_is_skipped(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "a.md", content)

    assert read_one(tmp_path) == Skipped("a.md", "is empty")


# What changes between listing and reading


def test_a_file_that_vanished_is_skipped(tmp_path: Path) -> None:
    write(tmp_path / "a.md")
    [file], _ = list_files(tmp_path, max_bytes=MEGABYTE)
    file.absolute.unlink()

    assert read_bytes(file, tmp_path) == Skipped("a.md", "disappeared before it could be read")


def test_a_folder_that_vanished_is_no_error(tmp_path: Path) -> None:
    write(tmp_path / "docs/a.md")
    [file], _ = list_files(tmp_path / "docs", max_bytes=MEGABYTE)
    shutil.rmtree(tmp_path / "docs")

    assert read_bytes(file, tmp_path / "docs") == Skipped(
        "a.md", "disappeared before it could be read"
    )


def test_a_file_that_was_edited_is_read_as_it_is_now(tmp_path: Path) -> None:
    write(tmp_path / "a.md", "short")
    [file], _ = list_files(tmp_path, max_bytes=MEGABYTE)
    write(tmp_path / "a.md", "longer than before")

    assert read_bytes(file, tmp_path) == b"longer than before"


def test_a_file_that_grows_without_end_is_skipped(tmp_path: Path) -> None:
    write(tmp_path / "a.md", "short")
    [file], _ = list_files(tmp_path, max_bytes=MEGABYTE)
    os.truncate(tmp_path / "a.md", 100 * MEGABYTE)

    assert read_bytes(file, tmp_path) == Skipped("a.md", "is growing while it is read")


def test_a_file_that_became_a_pipe_does_not_block(tmp_path: Path) -> None:
    write(tmp_path / "a.md")
    [file], _ = list_files(tmp_path, max_bytes=MEGABYTE)
    file.absolute.unlink()
    os.mkfifo(file.absolute)

    assert read_bytes(file, tmp_path) == Skipped("a.md", "is not a regular file")


def test_a_file_that_became_a_link_to_the_outside_is_not_followed(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.md")
    write(tmp_path / "root/a.md")
    [file], _ = list_files(tmp_path / "root", max_bytes=MEGABYTE)
    file.absolute.unlink()
    file.absolute.symlink_to(secret)

    assert read_bytes(file, tmp_path / "root") == Skipped(
        "a.md", "is a link to a place outside the folder"
    )


def test_a_folder_that_became_a_link_to_the_outside_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "outside/a.md", "secret")
    write(tmp_path / "root/docs/a.md")
    [file], _ = list_files(tmp_path / "root", max_bytes=MEGABYTE)
    shutil.rmtree(tmp_path / "root/docs")
    (tmp_path / "root/docs").symlink_to(tmp_path / "outside")

    assert read_bytes(file, tmp_path / "root") == Skipped(
        "docs/a.md", "is a link to a place outside the folder"
    )
