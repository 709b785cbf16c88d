"""What kind of source an argument of `ingest` is taken for."""

from pathlib import Path

import pytest

from app.cli.arguments import source_config
from app.core.exceptions import InvalidRequest
from app.knowledge.connectors.config import FolderConfig, GitConfig, WebConfig


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/team/handbook.git",
        "ssh://git@example.org/handbook",
        "git@example.org:team/handbook",
        "file:///srv/handbook",
        "https://github.com/fastapi/fastapi",
        "https://gitlab.example.com/group/subgroup/handbook/",
        "https://codeberg.org/forgejo/docs",
    ],
)
def test_a_repository(url: str) -> None:
    assert source_config(url) == GitConfig(kind="git", url=url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/sitemap.xml",
        "http://example.org/team/handbook",
        "https://github.com/fastapi/fastapi/wiki/Home",
        "https://gitlab.com/group/handbook/-/wikis/home",
        "https://notgithub.com/docs/handbook",
    ],
)
def test_a_site(url: str) -> None:
    assert source_config(url) == WebConfig(kind="web", url=url)


def test_a_path_is_a_folder_even_if_it_is_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs" / ".git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    assert source_config("docs") == FolderConfig(kind="folder", path=str(tmp_path / "docs"))


def test_a_bundle_is_named_by_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert source_config("docs.bundle") == GitConfig(kind="git", url=str(tmp_path / "docs.bundle"))


def test_a_part_of_a_repository_or_a_site() -> None:
    git = source_config("git@example.org:docs", branch="next", path_prefixes=["en", "de"])
    web = source_config("https://example.org/", path_prefixes=["/docs/"])

    assert git == GitConfig(
        kind="git", url="git@example.org:docs", branch="next", path_prefixes=["en", "de"]
    )
    assert web == WebConfig(kind="web", url="https://example.org/", path_prefixes=["/docs/"])


@pytest.mark.parametrize(
    ("argument", "branch", "prefixes", "words"),
    [
        ("docs", None, ["en"], "A folder has neither"),
        ("https://example.org/", "main", [], "A site has no --branch"),
        ("s3://bucket/docs", None, [], "reads nothing from s3:// URLs"),
        ("https://[example.org/", None, [], "is not a valid URL"),
        ("https://example.org/" + "x" * 2000, None, [], "at most 2000 characters"),
    ],
)
def test_what_cannot_be_asked_for_is_said(
    argument: str, branch: str | None, prefixes: list[str], words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words):
        source_config(argument, branch=branch, path_prefixes=prefixes)
