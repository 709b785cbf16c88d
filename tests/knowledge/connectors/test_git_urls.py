"""Where a reader finds a file of a repository at one commit."""

import pytest

from app.knowledge.connectors.git_urls import blob_prefix


@pytest.mark.parametrize(
    ("remote", "prefix"),
    [
        ("https://github.com/o/r", "https://github.com/o/r/blob/c0ffee/"),
        ("https://github.com/o/r.git/", "https://github.com/o/r/blob/c0ffee/"),
        ("git@github.com:o/r.git", "https://github.com/o/r/blob/c0ffee/"),
        ("ssh://git@github.com:22/o/r.git", "https://github.com/o/r/blob/c0ffee/"),
        ("https://gitlab.com/g/sub/r.git", "https://gitlab.com/g/sub/r/-/blob/c0ffee/"),
        ("git@gitlab.example.com:g/r.git", "https://gitlab.example.com/g/r/-/blob/c0ffee/"),
        ("http://gitea.local:3000/o/r", "http://gitea.local:3000/o/r/src/commit/c0ffee/"),
        ("https://codeberg.org/o/r.git", "https://codeberg.org/o/r/src/commit/c0ffee/"),
        ("https://bitbucket.org/o/r.git", "https://bitbucket.org/o/r/src/c0ffee/"),
        ("https://example.com/o/r.git", None),
        ("https://notgithub.com/o/r.git", None),
        ("https://github.com/r.git", None),
        ("file:///srv/github/o/r.git", None),
        ("/srv/github.bundle", None),
    ],
)
def test_the_page_of_a_file_is_known_for_the_usual_hosts(remote: str, prefix: str | None) -> None:
    assert blob_prefix(remote, "c0ffee") == prefix
