"""Which addresses and branches a git source may have, before anybody is asked."""

from pathlib import Path

import pytest

from app.knowledge.connectors.config import GitConfig
from app.knowledge.connectors.git import check_git_url
from app.knowledge.exceptions import SourceUnusable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "allowed"
    (root / "docs.git").mkdir(parents=True)
    (tmp_path / "secret.git").mkdir()
    return root


def check(url: str, *roots: Path, **config: str) -> None:
    check_git_url(GitConfig.model_validate({"kind": "git", "url": url} | config), roots)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/o/r.git",
        "https://host.example:8443/r",
        "https://[::1]/r",
        "http://127.0.0.1/r",
        "ssh://git@host.example:2222/o/r.git",
        "ssh://host.example/~/r",
        "git@host.example:o/r.git",
        "host.example:r",
    ],
)
def test_what_git_can_clone_is_taken(url: str) -> None:
    check(url)


@pytest.mark.parametrize(
    "url",
    [
        "--upload-pack=touch /tmp/x",
        "-oProxyCommand=x",
        "ext::sh -c 'touch /tmp/x'",
        "fd::17",
        "https::https://host.example/r",
        "ftp://host.example/r",
        "git://host.example/r",
        "git+ssh://host.example/r",
        "gopher://host.example/r",
        "ssh://-oProxyCommand=x/r",
        "ssh://%2DoProxyCommand=x/r",
        "ssh://-x@host.example/r",
        "-x@host.example:r",
        "-oProxyCommand=x:r",
        "host.example:-x",
        "https:///r",
        "https://host.example:port/r",
        "https://[::1/r",
        "https://host example/r",
        "https://host.example/r\nb",
        "relative/path",
        "../up",
        "~/r",
        "C:",
    ],
)
def test_what_could_be_an_option_a_command_or_nonsense_is_refused(url: str) -> None:
    with pytest.raises(SourceUnusable):
        check(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:s3cret@host.example/r",
        "https://s3cret@host.example/r",
        "https://:s3cret@host.example/r",
        "ssh://git:s3cret@host.example/r",
    ],
)
def test_a_secret_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SourceUnusable, match="SOURCE_TOKENS") as raised:
        check(url)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("url", ["https://h.example/r?token=s3cret", "https://h.example/r#s3cret"])
def test_a_query_or_a_fragment_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SourceUnusable) as raised:
        check(url)
    assert "s3cret" not in str(raised.value)


def test_a_token_is_for_https_only(root: Path) -> None:
    check("https://host.example/r", token_name="mine")
    for url in ("git@host.example:r", str(root / "docs.git")):
        with pytest.raises(SourceUnusable, match="token"):
            check(url, root, token_name="mine")


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}"])
def test_a_path_below_an_allowed_root_is_taken(root: Path, form: str) -> None:
    check(form.format(root / "docs.git"), root)


@pytest.mark.parametrize(
    "path", ["secret.git", "nothing", "allowed/../secret.git", "allowed/link", "allowed-not/r"]
)
@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_path_elsewhere_is_refused_whether_it_exists_or_not(
    root: Path, path: str, form: str
) -> None:
    (root / "link").symlink_to(root.parent / "secret.git")
    with pytest.raises(SourceUnusable, match="INGEST_ROOTS"):
        check(form.format(root.parent / path), root)


def test_no_path_is_taken_where_no_root_is_named(root: Path) -> None:
    with pytest.raises(SourceUnusable, match="INGEST_ROOTS"):
        check(str(root / "docs.git"))


@pytest.mark.parametrize("tail", ["?x", "#x", "%00"])
def test_a_file_url_with_more_than_a_path_is_refused(root: Path, tail: str) -> None:
    with pytest.raises(SourceUnusable):
        check(f"file://{root}/docs.git{tail}", root)


def test_a_file_url_of_another_machine_is_refused(root: Path) -> None:
    with pytest.raises(SourceUnusable):
        check(f"file://host.example{root}/docs.git", root)


@pytest.mark.parametrize("branch", ["main", "release/1.0", "v2.0-rc+1", "ünïcode", "a@b", "HEAD"])
def test_the_names_that_git_gives_branches_are_taken(branch: str) -> None:
    check("https://host.example/r", branch=branch)


@pytest.mark.parametrize(
    "branch",
    [
        "--upload-pack=x",
        "-x",
        "a b",
        "a*",
        "a?",
        "[a]",
        "a:b",
        "a^{}",
        "a~1",
        "a..b",
        "@",
        "@{1}",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a.lock",
        "a\\b",
        "a\nb",
        "a\x7f",
    ],
)
def test_what_no_branch_can_be_called_is_refused(branch: str) -> None:
    with pytest.raises(SourceUnusable, match="branch"):
        check("https://host.example/r", branch=branch)
