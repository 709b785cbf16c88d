"""Which files a source's patterns and prefixes pick."""

import pytest

from app.knowledge.connectors.config import DEFAULT_PATTERNS
from app.knowledge.connectors.file_filter import FileFilter


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("**/*.md", "a.md"),
        ("**/*.md", "x/y/a.md"),
        ("**/*.md", "x/README.MD"),
        ("**/*.MD", "x/readme.md"),
        ("*.md", "a.md"),
        ("docs/**", "docs/x/y.txt"),
        ("docs/**/*.md", "docs/a.md"),
        ("docs/**/guide/*.md", "docs/x/guide/y/guide/a.md"),
        ("**/v?/[ab]*.md", "x/v1/all.md"),
        ("**/x/**/y/**/*.md", "x/y/a.md"),
        ("/docs/*.md", "docs/a.md"),
        ("./docs/*.md", "docs/a.md"),
        ("**", "x/a.md"),
        ("**/*.md", "two\nlines.md"),
        ("**/*.md", "straße/ärger.md"),
        ("**/[draft.md", "x/[draft.md"),
    ],
)
def test_a_pattern_picks_a_path(pattern: str, path: str) -> None:
    assert FileFilter([], [pattern]).wants(path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("**/*.md", "a.mdx"),
        ("**/*.md", "a.md/b.txt"),
        ("*.md", "x/a.md"),
        ("docs/*.md", "docs/x/a.md"),
        ("docs/**/*.md", "other/docs/a.md"),
        ("docs?a.md", "docs/a.md"),
        ("x/**/y/*.md", "x/y/z/a.md"),
        ("", "a.md"),
    ],
)
def test_a_pattern_leaves_out_a_path(pattern: str, path: str) -> None:
    assert not FileFilter([], [pattern]).wants(path)


def test_one_of_the_patterns_is_enough() -> None:
    wanted = FileFilter([], DEFAULT_PATTERNS)
    assert [
        path for path in ["a.md", "b.mdx", "c.txt", "d.rst", "e.py", "f"] if wanted.wants(path)
    ] == ["a.md", "b.mdx", "c.txt", "d.rst"]


@pytest.mark.parametrize("prefix", ["docs", "docs/", "/docs", "./docs/"])
def test_a_prefix_is_a_whole_folder_name(prefix: str) -> None:
    wanted = FileFilter([prefix], ["**/*.md"])
    assert wanted.wants("docs/x/a.md")
    assert not wanted.wants("docs-old/a.md")
    assert not wanted.wants("x/docs/a.md")
    assert not wanted.wants("Docs/a.md")


def test_a_prefix_may_be_a_file() -> None:
    wanted = FileFilter(["docs", "README.md"], ["**/*.md"])
    assert wanted.wants("README.md")
    assert not wanted.wants("CHANGELOG.md")


@pytest.mark.parametrize("prefix", ["/", "."])
def test_the_root_as_a_prefix_is_everything(prefix: str) -> None:
    assert FileFilter([prefix], ["**/*.md"]).wants("x/a.md")


@pytest.mark.parametrize("path", [".a.md", ".github/a.md", "x/.y/a.md", "x/node_modules/y/a.md"])
def test_hidden_files_and_node_modules_are_left_out(path: str) -> None:
    assert not FileFilter([], ["**/*.md"]).wants(path)


def test_a_hidden_folder_is_read_when_it_is_named() -> None:
    wanted = FileFilter([".github"], ["**/*.md"])
    assert wanted.wants(".github/a.md")
    assert not wanted.wants(".github/.cache/a.md")


def test_a_folder_is_entered_when_something_below_may_be_wanted() -> None:
    wanted = FileFilter(["docs/en", ".github"], ["**/*.md"])
    folders = ["docs", "docs/en", "docs/en/x", "docs/de", "src", ".github", "docs/en/.x"]
    assert [folder for folder in folders if wanted.enters(folder)] == [
        "docs",
        "docs/en",
        "docs/en/x",
        ".github",
    ]


def test_without_prefixes_every_folder_is_entered_but_hidden_ones() -> None:
    wanted = FileFilter([], ["**/*.md"])
    assert wanted.enters("x/y")
    assert not wanted.enters("x/node_modules")
    assert not wanted.enters(".git")


def test_hostile_patterns_take_no_exponential_time() -> None:
    # A backtracking matcher would not be done with either of these in the age of the universe.
    assert not FileFilter([], ["**/x/" * 60 + "y.md"]).wants("x/" * 200 + "a.md")
    assert not FileFilter([], ["*a" * 60 + ".md"]).wants("a" * 200 + ".txt")


def test_the_fingerprint_tells_filters_apart() -> None:
    filters = [
        FileFilter([], ["**/*.md"]),
        FileFilter([], ["**/*.txt"]),
        FileFilter([], ["**/*.md", "**/*.txt"]),
        FileFilter(["docs"], ["**/*.md"]),
        FileFilter(["docs", "src"], ["**/*.md"]),
        FileFilter(["docs/src"], ["**/*.md"]),
        FileFilter(["docs"], ["src", "**/*.md"]),
    ]
    assert len({wanted.fingerprint for wanted in filters}) == len(filters)


def test_the_fingerprint_is_the_same_for_the_same_filter_written_otherwise() -> None:
    one = FileFilter(["docs/", "x"], ["**/*.md", "/**/*.txt"])
    other = FileFilter(["./x", "docs", "docs"], ["**/*.txt", "**/*.md"])
    assert one.fingerprint == other.fingerprint
