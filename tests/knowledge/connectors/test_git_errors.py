"""What becomes of git's own words, where no test can make it say them."""

import pytest

from app.knowledge.connectors.git_errors import GitFailed, explain
from app.knowledge.exceptions import SourceUnavailable, SourceUnusable

NO_RIGHTS = (
    "fatal: Could not read from remote repository.\n\n"
    "Please make sure you have the correct access rights\nand the repository exists.\n"
)
NO_ACCESS = "fatal: unable to access 'https://host.example/r/':"


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (f"git@host.example: Permission denied (publickey).\r\n{NO_RIGHTS}", "SOURCE_TOKENS"),
        (f"Host key verification failed.\r\n{NO_RIGHTS}", "known_hosts"),
        (f"ERROR: Repository not found.\n{NO_RIGHTS}", "There is no repository"),
        (
            f"remote: ERROR: The project you were looking for could not be found\n{NO_RIGHTS}",
            "There is no repository",
        ),
        (
            f"{NO_ACCESS} server certificate verification failed. CAfile: none CRLfile: none",
            "TLS certificate",
        ),
        (
            f"{NO_ACCESS} The requested URL returned error: 403",
            "SOURCE_TOKENS",
        ),
        (
            f"fatal: detected dubious ownership in repository at '/srv/docs.git'\n{NO_RIGHTS}",
            "change its owner",
        ),
        ("fatal: dumb http transport does not support shallow capabilities", "HTTP protocol"),
        ("fatal: write error: File too large\nfatal: fetch-pack: invalid index-pack", "larger"),
        ("fatal: Out of memory, malloc failed (tried to allocate 5000000000 bytes)", "larger"),
    ],
)
def test_what_somebody_must_change_is_said(words: str, advice: str) -> None:
    error = explain(GitFailed(words), "docs.git")
    assert isinstance(error, SourceUnusable)
    assert advice in str(error)
    assert "docs.git" in str(error)


@pytest.mark.parametrize(
    "words",
    [
        f"{NO_ACCESS} Could not resolve host: host.example",
        f"ssh: connect to host host.example port 22: Connection timed out\r\n{NO_RIGHTS}",
        f"ssh: Could not resolve hostname host.example: Name or service not known\r\n{NO_RIGHTS}",
        "fatal: write error: No space left on device",
        "error: RPC failed; curl 56 Recv failure: Connection reset by peer\nfatal: early EOF",
        "fatal: couldn't find remote ref refs/heads/main",
        "fatal: something new",
        "",
    ],
)
def test_what_may_pass_by_itself_is_to_be_tried_again(words: str) -> None:
    assert isinstance(explain(GitFailed(words), "docs.git"), SourceUnavailable)


def test_git_s_own_words_are_not_shown() -> None:
    assert "secret" not in str(explain(GitFailed("fatal: remote error: secret"), "docs.git"))
