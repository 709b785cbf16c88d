"""Which files of a folder are read, how, and what is said about the others."""

import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.knowledge.exceptions import FolderError
from app.knowledge.files import FoundFile, Skipped, TextFile, list_files, read_text

MEGABYTE = 1_000_000


def write(path: Path, content: bytes | str = "Some text.\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def found(root: Path) -> list[str]:
    return [file.path for file in list_files(root, max_bytes=MEGABYTE)[0]]


def skipped(root: Path) -> dict[str, str]:
    return {skip.path: skip.reason for skip in list_files(root, max_bytes=MEGABYTE)[1]}


def read_one(root: Path) -> TextFile | Skipped:
    [file] = list_files(root, max_bytes=MEGABYTE)[0]
    return read_text(file, root)


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


def test_markdown_mdx_and_text_files_are_listed_sorted_by_path(tmp_path: Path) -> None:
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
    assert read_one(file) == TextFile(
        "notes.md", "# Notes", hashlib.sha256(b"# Notes").digest(), None
    )


def test_a_relative_root_is_taken_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "docs/a.md")
    monkeypatch.chdir(tmp_path)

    assert found(Path("docs")) == ["a.md"]
    assert isinstance(read_one(Path("docs")), TextFile)


def test_a_root_behind_a_link_is_read(tmp_path: Path) -> None:
    write(tmp_path / "real/a.md")
    (tmp_path / "link").symlink_to("real")

    assert isinstance(read_one(tmp_path / "link"), TextFile)


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
    texts = [read_text(file, tmp_path) for file in files]
    assert [text.text for text in texts if isinstance(text, TextFile)] == ["text", "text"]


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
def test_a_root_that_is_no_text_file_is_an_error(tmp_path: Path, name: str) -> None:
    write(tmp_path / "picture.png")
    os.mkfifo(tmp_path / "pipe.md")

    with pytest.raises(FolderError, match=r"neither a folder nor a \.md or \.mdx or \.txt file"):
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


# What is read


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"plain\n", "plain\n"),
        ("Grüße 😀 שלום\n".encode(), "Grüße 😀 שלום\n"),
        ("\ufeff# Grüße\n".encode(), "# Grüße\n"),
        (b"\xff\xfe" + "# Grüße 😀\r\n".encode("utf-16-le"), "# Grüße 😀\r\n"),
        (b"\xfe\xff" + "# Grüße 😀\n".encode("utf-16-be"), "# Grüße 😀\n"),
        (b"a\r\nb\rc\n\x0cd", "a\r\nb\rc\n\x0cd"),
    ],
    ids=["ASCII", "UTF-8", "UTF-8 with BOM", "UTF-16 LE", "UTF-16 BE", "newlines"],
)
def test_unicode_texts_are_read_exactly(tmp_path: Path, content: bytes, text: str) -> None:
    write(tmp_path / "a.md", content)

    assert read_one(tmp_path) == TextFile("a.md", text, hashlib.sha256(content).digest(), None)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["bare", "with BOM"])
def test_windows_1252_is_read_with_a_note(tmp_path: Path, mark: bytes) -> None:
    content = mark + "“Grüße” – 5 €".encode("cp1252")
    write(tmp_path / "a.md", content)

    assert read_one(tmp_path) == TextFile(
        "a.md",
        "“Grüße” – 5 €",
        hashlib.sha256(content).digest(),
        "not UTF-8; read as Windows-1252",
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b" \n\t\r\n\xc2\xa0", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\xff\xfe", "is empty"),
        (b"\x89PNG\r\n\0\x81", "is not text: it contains NUL bytes"),
        (b"text\0", "is not text: it contains NUL bytes"),
        ("text".encode("utf-16-le"), "is not text: it contains NUL bytes"),
        (b"\xff\xfe" + "a\0b".encode("utf-16-le"), "is not text: it contains NUL bytes"),
        (b"\xff\xfeabc", "begins like UTF-16, but is not: save it as UTF-8"),
        (b"\xff\xfe\x00\xd8", "begins like UTF-16, but is not: save it as UTF-8"),
        ("メモ".encode("shift_jis"), "is neither UTF-8 nor Windows-1252: save it as UTF-8"),
    ],
)
def test_what_is_not_a_text_is_skipped_with_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    write(tmp_path / "a.txt", content)

    assert read_one(tmp_path) == Skipped("a.txt", reason)


def test_the_hash_depends_on_the_bytes_only(tmp_path: Path) -> None:
    write(tmp_path / "a.md", "same")
    write(tmp_path / "b/c.txt", "same")
    write(tmp_path / "d.md", b"\xef\xbb\xbfsame")
    os.utime(tmp_path / "a.md", (0, 0))

    files, _ = list_files(tmp_path, max_bytes=MEGABYTE)
    hashes = [
        text.content_hash
        for text in (read_text(file, tmp_path) for file in files)
        if isinstance(text, TextFile)
    ]

    assert hashes[0] == hashes[1] == hashlib.sha256(b"same").digest()
    assert hashes[2] == hashlib.sha256(b"\xef\xbb\xbfsame").digest()


# What changes between listing and reading


def test_a_file_that_vanished_is_skipped(tmp_path: Path) -> None:
    write(tmp_path / "a.md")
    [file], _ = list_files(tmp_path, max_bytes=MEGABYTE)
    file.absolute.unlink()

    assert read_text(file, tmp_path) == Skipped("a.md", "disappeared before it could be read")


def test_a_folder_that_vanished_is_no_error(tmp_path: Path) -> None:
    write(tmp_path / "docs/a.md")
    [file], _ = list_files(tmp_path / "docs", max_bytes=MEGABYTE)
    shutil.rmtree(tmp_path / "docs")

    assert read_text(file, tmp_path / "docs") == Skipped(
        "a.md", "disappeared before it could be read"
    )


def test_a_file_that_was_edited_is_read_as_it_is_now(tmp_path: Path) -> None:
    write(tmp_path / "a.md", "short")
    [file], _ = list_files(tmp_path, max_bytes=MEGABYTE)
    write(tmp_path / "a.md", "longer than before")

    text = read_text(file, tmp_path)

    assert isinstance(text, TextFile)
    assert text.text == "longer than before"


def test_a_file_that_grows_without_end_is_skipped(tmp_path: Path) -> None:
    write(tmp_path / "a.md", "short")
    [file], _ = list_files(tmp_path, max_bytes=MEGABYTE)
    os.truncate(tmp_path / "a.md", 100 * MEGABYTE)

    assert read_text(file, tmp_path) == Skipped("a.md", "is growing while it is read")


def test_a_file_that_became_a_pipe_does_not_block(tmp_path: Path) -> None:
    write(tmp_path / "a.md")
    [file], _ = list_files(tmp_path, max_bytes=MEGABYTE)
    file.absolute.unlink()
    os.mkfifo(file.absolute)

    assert read_text(file, tmp_path) == Skipped("a.md", "is not a regular file")


def test_a_file_that_became_a_link_to_the_outside_is_not_followed(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.md")
    write(tmp_path / "root/a.md")
    [file], _ = list_files(tmp_path / "root", max_bytes=MEGABYTE)
    file.absolute.unlink()
    file.absolute.symlink_to(secret)

    assert read_text(file, tmp_path / "root") == Skipped(
        "a.md", "is a link to a place outside the folder"
    )


def test_a_folder_that_became_a_link_to_the_outside_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "outside/a.md", "secret")
    write(tmp_path / "root/docs/a.md")
    [file], _ = list_files(tmp_path / "root", max_bytes=MEGABYTE)
    shutil.rmtree(tmp_path / "root/docs")
    (tmp_path / "root/docs").symlink_to(tmp_path / "outside")

    assert read_text(file, tmp_path / "root") == Skipped(
        "docs/a.md", "is a link to a place outside the folder"
    )
