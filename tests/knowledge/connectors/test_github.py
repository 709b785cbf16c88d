"""Repositories through GitHub's API, against a server that speaks it."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from app.knowledge.connectors.models import Entry, Fetched, Gone, Listing
from app.knowledge.exceptions import SourceUnavailable, SourceUnusable
from app.knowledge.files import Skipped
from tests.github import NAME, GitHub, Link, Repository, Source, Submodule, blob_id
from tests.serving import serve

TOKEN = "ghp_0123456789secret"
FILES = {"README.md": b"# Read me", "guide/a.md": b"A", "guide/deep/er/b.txt": b"B", "x.py": b"-"}


@pytest.fixture
async def github() -> AsyncIterator[GitHub]:
    """An empty GitHub."""
    github = GitHub()
    async with serve(github.app) as url:
        github.url = url
        yield github


@pytest.fixture
def repository(github: GitHub) -> Repository:
    """A public repository with a commit."""
    repository = github.add(NAME)
    repository.commit(FILES)
    return repository


def paths(listing: Listing) -> list[str]:
    return [entry.path for entry in listing.entries]


async def test_the_documents_of_the_default_branch_are_listed(
    github: GitHub, repository: Repository
) -> None:
    repository.default_branch = "trunk"
    commit = repository.commit(FILES, branch="trunk")
    repository.commit({"other.md": b"-"}, branch="main")
    listing = await Source(github).listing()
    assert listing.entries[1] == Entry(
        "guide/a.md", blob_id(b"A"), f"https://github.com/octo/Docs/blob/{commit}/guide/a.md"
    )
    assert paths(listing) == ["README.md", "guide/a.md", "guide/deep/er/b.txt"]
    assert listing.skipped == []


@pytest.mark.parametrize("branch", ["v2", "feature/new docs", "50%/ü#?"])
async def test_another_branch_can_be_named(
    github: GitHub, repository: Repository, branch: str
) -> None:
    repository.commit({"new.md": b"-"}, branch=branch)
    assert paths(await Source(github, branch=branch).listing()) == ["new.md"]


async def test_prefixes_and_patterns_pick_the_documents(
    github: GitHub, repository: Repository
) -> None:
    source = Source(github, path_prefixes=["guide/deep", "x.py"], patterns=["**/*.txt", "*.PY"])
    assert paths(await source.listing()) == ["guide/deep/er/b.txt", "x.py"]


async def test_odd_names_make_valid_urls(github: GitHub, repository: Repository) -> None:
    commit = repository.commit({"a b#c?d%\n/é.md": b"-"})
    (entry,) = (await Source(github).listing()).entries
    assert entry.path == "a b#c?d%\n/é.md"
    assert entry.url == (
        f"https://github.com/octo/Docs/blob/{commit}/a%20b%23c%3Fd%25%0A/%C3%A9.md"
    )


async def test_what_cannot_be_a_document_is_skipped_with_the_reason(
    github: GitHub, repository: Repository
) -> None:
    repository.commit(
        {
            "fits.md": b"x" * 1_000,
            "huge.md": b"x" * 1_001,
            "link.md": Link(b"fits.md"),
            "huge.bin": b"x" * 5_000,
            "sub.md": Submodule(b"1" * 40),
        }
    )
    listing = await Source(github).listing()
    assert paths(listing) == ["fits.md"]
    assert listing.skipped == [
        Skipped("huge.md", "is larger than 0.001 MB (the setting MAX_DOCUMENT_BYTES)"),
        Skipped("link.md", "is a symbolic link, which is not followed on GitHub"),
    ]


async def test_a_repository_too_large_for_one_answer_is_read_folder_by_folder(
    github: GitHub, repository: Repository
) -> None:
    files = {f"{a}/{b}/{c}.md": b"-" for a in "abc" for b in "xyz" for c in "123"}
    unwanted = {"node_modules/m/n.md": b"-", ".hidden/h.md": b"-"}
    repository.commit(files | unwanted | {"top.md": b"-"})
    repository.tree_limit = 9
    listing = await Source(github).listing()
    assert paths(listing) == sorted([*files, "top.md"])
    trees = [path for path in github.asked if "/git/trees/" in path]
    # Twice the root and each of a, b, c; once each of their folders; nothing of the others.
    assert len(trees) == 2 * 4 + 9


async def test_a_folder_that_the_api_cannot_list_is_said_to_be_too_large(
    github: GitHub, repository: Repository
) -> None:
    repository.commit({f"docs/{number}.md": b"-" for number in range(10)})
    repository.tree_limit = 9
    with pytest.raises(SourceUnusable, match=r"folder docs has more files .* of the kind git"):
        await Source(github).list()


async def test_an_unchanged_repository_is_not_listed_again(
    github: GitHub, repository: Repository
) -> None:
    source = Source(github)
    state = (await source.listing()).state
    github.asked.clear()
    assert await source.list(state) is None
    assert github.asked == [f"/repos/{NAME}", f"/repos/{NAME}/commits/main"]
    assert github.headers[-1]["if-none-match"] == f'"{repository.branches["main"]}"'


async def test_an_unchanged_commit_is_recognised_without_an_etag(
    github: GitHub, repository: Repository
) -> None:
    source = Source(github)
    state = (await source.listing()).state
    assert await source.list(state | {"etag": None}) is None
    assert await source.list(state | {"etag": '"another"'}) is None


async def test_a_new_commit_is_listed(github: GitHub, repository: Repository) -> None:
    source = Source(github)
    state = (await source.listing()).state
    repository.commit(FILES | {"guide/a.md": b"A2"})
    listing = await source.listing(state)
    assert {entry.path: entry.version for entry in listing.entries}["guide/a.md"] == blob_id(b"A2")
    assert listing.state != state


@pytest.mark.parametrize(
    "changed",
    [
        {"path_prefixes": ["guide"]},
        {"patterns": ["**/*.py"]},
        {"max_bytes": 2_000},
        {"branch": "copy"},
    ],
)
async def test_a_source_that_asks_for_something_else_is_listed_again(
    github: GitHub, repository: Repository, changed: dict[str, Any]
) -> None:
    repository.branches["copy"] = repository.branches["main"]
    state = (await Source(github).listing()).state
    assert await Source(github, **changed).list(state) is not None


async def test_a_force_push_is_listed_and_what_it_removed_is_gone(
    github: GitHub, repository: Repository
) -> None:
    source = Source(github)
    before = await source.listing()
    repository.force_push({"README.md": b"# Read me", "new.md": b"-"})
    after = await source.listing(before.state)
    assert paths(after) == ["README.md", "new.md"]
    assert await source.fetch(before.entries[1]) == Gone("is no longer in the repository")


async def test_a_document_is_fetched(github: GitHub, repository: Repository) -> None:
    data = bytes(range(256))
    repository.commit({"a.md": data, "empty.md": b""})
    source = Source(github)
    a, empty = (await source.listing()).entries
    fetched = await source.fetch(a)
    assert isinstance(fetched, Fetched)
    assert (fetched.content.data, fetched.version, fetched.url) == (data, a.version, a.url)
    fetched = await source.fetch(empty)
    assert isinstance(fetched, Fetched)
    assert fetched.content.data == b""


async def test_a_repository_with_sha256_ids_is_fetched(
    github: GitHub, repository: Repository
) -> None:
    sha = hashlib.sha256(b"blob 1\0A").hexdigest()
    repository.blobs[sha] = b"A"
    assert isinstance(await Source(github).fetch(Entry("a.md", sha)), Fetched)


async def test_a_document_that_is_larger_than_allowed_is_left_out(
    github: GitHub, repository: Repository
) -> None:
    (entry, *_) = (await Source(github).listing()).entries
    assert await Source(github, max_bytes=8).fetch(entry) == Gone(
        "is larger than 8e-06 MB (the setting MAX_DOCUMENT_BYTES)"
    )


async def test_a_document_in_git_lfs_is_left_out(github: GitHub, repository: Repository) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    repository.commit({"big.md": pointer})
    source = Source(github)
    (entry,) = (await source.listing()).entries
    assert await source.fetch(entry) == Gone("is stored in Git LFS, which is not read")


async def test_a_private_repository_is_read_with_its_token(github: GitHub) -> None:
    github.add(NAME, token=TOKEN).commit(FILES)
    source = Source(github, token=TOKEN, token_name="docs")
    listing = await source.listing()
    assert isinstance(await source.fetch(listing.entries[0]), Fetched)
    assert all(headers["authorization"] == f"Bearer {TOKEN}" for headers in github.headers)


async def test_a_private_repository_without_a_token_says_how_to_give_one(github: GitHub) -> None:
    github.add(NAME, token=TOKEN).commit(FILES)
    with pytest.raises(
        SourceUnusable, match=r"no repository octo/Docs .* SOURCE_TOKENS .*token_na"
    ):
        await Source(github).list()


async def test_a_token_without_rights_is_told_apart(github: GitHub) -> None:
    github.add(NAME, token=TOKEN).commit(FILES)
    github.tokens.add("another")
    with pytest.raises(SourceUnusable, match=r"no repository octo/Docs .* its token may not"):
        await Source(github, token="another").list()


async def test_a_wrong_token_is_said_to_be_wrong(github: GitHub, repository: Repository) -> None:
    with pytest.raises(SourceUnusable, match="does not accept the token") as caught:
        await Source(github, token="expired").list()
    assert "expired" not in str(caught.value).replace("has expired", "")


@pytest.mark.parametrize("token", ["", "secret\r\nX: y", "sécret", "secret secret"])
async def test_a_token_that_cannot_be_one_is_refused_without_telling_it(
    github: GitHub, token: str
) -> None:
    with pytest.raises(SourceUnusable, match="SOURCE_TOKENS") as caught:
        await Source(github, token=token).list()
    assert token == "" or token not in str(caught.value)
    assert caught.value.__context__ is None


async def test_a_repository_that_loses_its_public_does_not_lose_its_documents(
    github: GitHub, repository: Repository
) -> None:
    source = Source(github)
    (entry, *_) = (await source.listing()).entries
    repository.token = TOKEN
    with pytest.raises(SourceUnusable, match="There is no repository"):
        await source.fetch(entry)


async def test_a_vanished_repository_is_said_to_be_missing(
    github: GitHub, repository: Repository
) -> None:
    source = Source(github)
    listing = await source.listing()
    github.repositories.clear()
    with pytest.raises(SourceUnusable, match="There is no repository"):
        await source.list(listing.state)
    with pytest.raises(SourceUnusable, match="There is no repository"):
        await source.fetch(listing.entries[0])


async def test_a_repository_that_changes_while_it_is_listed_is_tried_again(
    github: GitHub, repository: Repository
) -> None:
    async def force_push(request: Request) -> Response | None:
        if "/git/trees/" in request.url.path:
            repository.force_push({"new.md": b"-"})
        return None

    github.fault = force_push
    with pytest.raises(SourceUnavailable, match="changed while it was listed"):
        await Source(github).list()


async def test_an_empty_repository_is_said_to_be_empty(github: GitHub) -> None:
    github.add(NAME)
    with pytest.raises(SourceUnusable, match="has no commit yet"):
        await Source(github).list()


@pytest.mark.parametrize("branch", ["missing", "../../../user", "%2e%2e"])
async def test_a_missing_branch_is_said_to_be_missing(
    github: GitHub, repository: Repository, branch: str
) -> None:
    with pytest.raises(SourceUnusable, match="has no branch"):
        await Source(github, branch=branch).list()
    assert github.asked == [f"/repos/{NAME}", f"/repos/{NAME}/commits/{branch}"]


@pytest.mark.parametrize("config", [{"branch": ".."}, {"repository": "../user"}])
async def test_a_name_that_leads_elsewhere_is_refused(
    github: GitHub, repository: Repository, config: dict[str, Any]
) -> None:
    with pytest.raises(SourceUnusable, match="is not a name on GitHub"):
        await Source(github, **config).list()


async def test_a_renamed_repository_is_followed_with_its_token(github: GitHub) -> None:
    repository = github.add(NAME, token=TOKEN)
    commit = repository.commit(FILES)
    source = Source(github, token=TOKEN)
    before = await source.listing()
    github.rename(repository, "octo/Handbook")
    listing = await source.listing(before.state)
    assert listing.entries[0].url == (f"https://github.com/octo/Handbook/blob/{commit}/README.md")
    assert isinstance(await source.fetch(listing.entries[0]), Fetched)


async def test_an_api_below_a_path_is_read_as_on_github_enterprise(
    github: GitHub, repository: Repository
) -> None:
    source = Source(github, api_url=f"{github.url}/api/v3/")
    assert paths(await source.listing())


async def test_every_request_names_its_sender_and_the_api_version(
    github: GitHub, repository: Repository
) -> None:
    await Source(github).list()
    for headers in github.headers:
        assert headers["user-agent"].startswith("bRAG/")
        assert headers["x-github-api-version"] == "2022-11-28"
        assert "authorization" not in headers
