"""A token goes to the host that the operator has named it for, and to no other."""

from typing import Any

import pytest

from app.knowledge.connectors.config import GitConfig, GitHubConfig
from app.knowledge.connectors.tokens import token_for
from app.knowledge.exceptions import SourceUnusable
from settings import Settings


def settings(**fields: Any) -> Settings:
    return Settings(source_tokens="work@github.com=ghp_x, local@127.0.0.1=t", **fields)


def git(url: str, name: str | None = "work") -> GitConfig:
    return GitConfig(kind="git", url=url, token_name=name)


def test_a_repository_on_its_host_gets_it() -> None:
    for url in ("https://github.com/a/b.git", "https://GitHub.com:443/a/b"):
        token = token_for(settings(), git(url))
        assert token is not None
        assert token.get_secret_value() == "ghp_x"
    github = GitHubConfig(kind="github", repository="a/b", token_name="Work")
    assert token_for(settings(), github) is not None


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/a.git",
        "https://github.com.evil.example/a.git",
        "https://evil.example/github.com",
        "ssh://git@evil.example/a.git",
        "/srv/a.bundle",
        "https://[",
    ],
)
def test_no_other_host_gets_it(url: str) -> None:
    with pytest.raises(SourceUnusable, match="There is no token work for"):
        token_for(settings(), git(url))


def test_another_github_gets_it_only_under_its_own_name() -> None:
    github = GitHubConfig(kind="github", repository="a/b", token_name="work")

    with pytest.raises(SourceUnusable, match=r"There is no token work for git\.corp"):
        token_for(settings(github_api_url="https://git.corp/api/v3"), github)


def test_it_does_not_travel_in_clear() -> None:
    with pytest.raises(SourceUnusable, match="https only"):
        token_for(settings(), git("http://github.com/a/b.git"))
    assert token_for(settings(), git("http://127.0.0.1:1/a.git", "local")) is not None


def test_who_names_none_gets_none() -> None:
    assert token_for(settings(), git("https://github.com/a/b.git", None)) is None
