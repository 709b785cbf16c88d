import pytest

from app.chat.origins import place_url
from app.knowledge.connectors.git_urls import blob_prefix
from app.knowledge.parsing.models import Kind

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("remote", "place"),
    [
        ("https://github.com/o/r.git", "?plain=1#L3-L7"),
        ("git@github.example.com:o/r.git", "?plain=1#L3-L7"),
        ("https://gitlab.com/group/sub/r", "?plain=1#L3-7"),
        ("https://codeberg.org/o/r", "?display=source#L3-L7"),
        ("https://gitea.example.com/o/r", "?display=source#L3-L7"),
        ("https://bitbucket.org/o/r", "?fileviewer=file-view-default#lines-3:7"),
    ],
)
def test_a_link_leads_to_the_lines_of_the_file_at_its_commit(remote: str, place: str) -> None:
    prefix = blob_prefix(remote, COMMIT)
    assert prefix is not None
    url = f"{prefix}docs/a%20guide.md"
    assert place_url(url, Kind.MARKDOWN, line_start=3, line_end=7) == url + place


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (f"https://github.com/o/r/blob/{COMMIT}/a.txt", "?plain=1#L3"),
        (f"https://gitlab.com/o/r/-/blob/{COMMIT}/a.txt", "?plain=1#L3"),
        (f"https://codeberg.org/o/r/src/commit/{COMMIT}/a.txt", "?display=source#L3"),
        (
            f"https://bitbucket.org/o/r/src/{COMMIT}/a.txt",
            "?fileviewer=file-view-default#lines-3",
        ),
    ],
)
def test_a_single_line_is_named_once(url: str, place: str) -> None:
    assert place_url(url, "text/plain", line_start=3, line_end=3) == url + place


def test_a_repository_of_sha256_commits_has_lines_too() -> None:
    url = f"https://codeberg.org/o/r/src/commit/{COMMIT + COMMIT[:24]}/a.md"
    assert place_url(url, Kind.MARKDOWN, line_start=1, line_end=2).endswith("#L1-L2")


@pytest.mark.parametrize("kind", [Kind.MDX, Kind.RST, Kind.HTML, Kind.PDF, Kind.DOCX, None])
def test_a_converted_text_has_other_lines_than_its_file(kind: Kind | None) -> None:
    url = f"https://github.com/o/r/blob/{COMMIT}/a"
    assert place_url(url, kind, line_start=3, line_end=7) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/guide.md",
        "https://example.com/blob/guide.md",
        f"https://github.com/o/r/blob/{COMMIT}/a.md?raw=1",
        f"https://github.com/o/r/blob/{COMMIT}/a.md#install",
        "https://github.com/o/r/blob/main/a.md",
        "",
    ],
)
def test_any_other_url_stays_as_it_is(url: str) -> None:
    assert place_url(url, Kind.MARKDOWN, line_start=3, line_end=7) == url
