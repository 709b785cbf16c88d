"""GitHub's limits, failures and lies, against a server that has them."""

import asyncio
import gzip
import json
import logging
import pickle
import re
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from app.knowledge.connectors import github_api
from app.knowledge.connectors.models import Entry
from app.knowledge.exceptions import SourceUnavailable, SourceUnusable
from app.knowledge.files import Skipped
from tests.github import NAME, Fault, GitHub, Repository, Source, blob_id, refuse
from tests.serving import serve

TOKEN = "ghp_0123456789secret"
ENTRY = Entry("a.md", blob_id(b"# A"))


@pytest.fixture
async def github() -> AsyncIterator[GitHub]:
    """GitHub with one public repository that has one document."""
    github = GitHub()
    github.add(NAME).commit({"a.md": b"# A"})
    async with serve(github.app) as url:
        github.url = url
        yield github


@pytest.fixture
def repository(github: GitHub) -> Repository:
    """That repository."""
    return github.repositories[NAME]


def answer(response: Response, *, to: str = "", times: int = 1_000) -> Fault:
    """Answer requests whose path ends like this with a response, the first times only."""
    left = [response] * times

    async def fault(request: Request) -> Response | None:
        return left.pop() if left and re.search(f"{to}$", request.url.path) else None

    return fault


def sends(body: object) -> Response:
    text = body if isinstance(body, bytes | str) else json.dumps(body)
    return Response(text, media_type="application/json")


@pytest.mark.parametrize(
    "limited",
    [
        refuse(403, "You have exceeded a secondary rate limit.", {"Retry-After": "0"}),
        refuse(429, "Too many", {"Retry-After": "1"}),
        refuse(429, "Too many", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1000000000"}),
    ],
)
async def test_a_short_limit_is_waited_out(github: GitHub, limited: Response) -> None:
    github.fault = answer(limited, to="/commits/main", times=1)
    assert (await Source(github).listing()).entries
    assert [path for path in github.asked if "commits" in path] == [
        f"/repos/{NAME}/commits/main"
    ] * 2


async def test_the_requests_of_an_hour_may_be_used_up(github: GitHub) -> None:
    github.remaining, github.reset_at = 2, time.time() + 1_800
    with pytest.raises(SourceUnavailable, match=r"until \d\d:\d\d UTC\. .*SOURCE_TOKENS") as caught:
        await Source(github).list()
    assert caught.value.retry_after_sec is not None
    assert 1_790 < caught.value.retry_after_sec <= 1_801
    assert len(github.asked) == 3


async def test_the_time_of_a_reset_is_read_by_the_servers_own_clock(
    github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = SimpleNamespace(time=lambda: 0.0, monotonic=time.monotonic, sleep=time.sleep)
    monkeypatch.setattr(github_api, "time", wrong)
    github.remaining, github.reset_at = 0, time.time() + 1_800
    with pytest.raises(SourceUnavailable) as caught:
        await Source(github).list()
    assert caught.value.retry_after_sec is not None
    assert 1_790 < caught.value.retry_after_sec <= 1_801


@pytest.mark.parametrize(
    ("limited", "wait_sec"),
    [
        (refuse(429, "Too many", {"Retry-After": "90"}), 90),
        (refuse(403, "You have exceeded a secondary rate limit", {"Retry-After": "61"}), 61),
        (refuse(429, "Too many", {"Retry-After": "9" * 500}), 86_400),
        (
            refuse(403, "No more", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9" * 500}),
            86_400,
        ),
    ],
)
async def test_a_long_limit_is_left_to_the_job_queue(
    github: GitHub, limited: Response, wait_sec: float
) -> None:
    github.fault = answer(limited)
    with pytest.raises(SourceUnavailable, match="rate limit") as caught:
        await Source(github, token=TOKEN).fetch(ENTRY)
    assert caught.value.retry_after_sec == wait_sec
    assert len(github.asked) == 1


@pytest.mark.parametrize(
    "limited",
    [
        refuse(403, "You have exceeded a secondary rate limit. Please wait a few minutes."),
        refuse(429, "Too many", {"Retry-After": "Tue, 20 Nov 2001 10:00:00 GMT"}),
        refuse(429, "Too many", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon"}),
    ],
)
async def test_a_limit_of_unknown_length_is_taken_for_a_minute(
    github: GitHub, limited: Response, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(github_api, "PATIENCE_SEC", 59.0)
    github.fault = answer(limited)
    with pytest.raises(SourceUnavailable) as caught:
        await Source(github).fetch(ENTRY)
    assert caught.value.retry_after_sec == 60


async def test_waits_grow_and_are_limited_together(
    github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(github_api, "PATIENCE_SEC", 2.5)
    github.fault = answer(refuse(429, "Too many", {"Retry-After": "0"}))
    with pytest.raises(SourceUnavailable, match="rate limit"):
        await Source(github).fetch(ENTRY)
    assert len(github.asked) == 2


def test_when_to_come_back_survives_the_way_from_a_child_process() -> None:
    error = pickle.loads(pickle.dumps(SourceUnavailable("Later.", retry_after_sec=90)))
    assert (str(error), error.retry_after_sec) == ("Later.", 90)


@pytest.mark.parametrize("status", [403, 451])
async def test_a_refusal_is_told_in_githubs_words(github: GitHub, status: int) -> None:
    github.fault = answer(refuse(status, "Resource not accessible\nby personal access token"))
    with pytest.raises(SourceUnusable, match="not accessible by personal access token"):
        await Source(github).list()


async def test_a_refusal_may_have_no_words(github: GitHub) -> None:
    github.fault = answer(Response("<html>" * 10_000, 403))
    with pytest.raises(SourceUnusable, match="403: it gives no reason"):
        await Source(github).list()


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 304, 204, 206])
@pytest.mark.parametrize("to", [NAME, "/commits/main", "/git/trees/.*"])
async def test_a_failure_of_github_is_transient(github: GitHub, status: int, to: str) -> None:
    github.fault = answer(Response(status_code=status), to=to)
    with pytest.raises(SourceUnavailable, match=f"status {status}"):
        await Source(github).list()


async def test_a_failure_may_tell_when_to_come_back(github: GitHub) -> None:
    github.fault = answer(Response(status_code=503, headers={"Retry-After": "120"}))
    with pytest.raises(SourceUnavailable) as caught:
        await Source(github).fetch(ENTRY)
    assert caught.value.retry_after_sec == 120


async def test_nobody_listens(github: GitHub, unused_url: str) -> None:
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1 can't be reached"):
        await Source(github, api_url=unused_url).list()


async def test_github_never_answers(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(request: Request) -> Response:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return Response()

    monkeypatch.setattr(github_api, "READ_TIMEOUT_SEC", 0.2)
    github.fault = hang
    with pytest.raises(SourceUnavailable, match="did not answer in time"):
        await Source(github).list()


async def test_github_sends_a_byte_now_and_then(
    github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    monkeypatch.setattr(github_api, "REQUEST_TIMEOUT_SEC", 0.2)
    github.fault = answer(StreamingResponse(drip()))
    with pytest.raises(SourceUnavailable, match="too slowly"):
        await Source(github).list()


async def test_an_answer_breaks_off(github: GitHub) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"# A"
        raise ConnectionResetError

    for headers in ({}, {"Content-Length": "100"}):
        github.fault = answer(StreamingResponse(body(), headers=headers), to="/git/blobs/.*")
        with pytest.raises(SourceUnavailable, match="broke off"):
            await Source(github).fetch(ENTRY)


async def test_a_compressed_answer_breaks_off(github: GitHub) -> None:
    # The header and a beginning: what has come can be unpacked.
    packed = gzip.compress(b"# A")[:12]
    github.fault = answer(Response(packed, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(SourceUnavailable, match="another content"):
        await Source(github).fetch(ENTRY)


async def test_an_answer_is_not_compressed_as_it_says(github: GitHub) -> None:
    github.fault = answer(Response(b"# A", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(SourceUnavailable, match="could not be read"):
        await Source(github).fetch(ENTRY)


@pytest.mark.parametrize("to", [NAME, "/commits/main"])
async def test_an_answer_is_far_too_large(github: GitHub, to: str) -> None:
    github.fault = answer(Response(b" " * 2_000_000), to=to)
    with pytest.raises(SourceUnavailable, match="larger than it can be"):
        await Source(github).list()


async def test_a_tree_is_a_gzip_bomb(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(b" " * 65_000_000)
    github.fault = answer(Response(bomb, headers={"Content-Encoding": "gzip"}), to="/git/trees/.*")
    with pytest.raises(SourceUnavailable, match="larger than it can be"):
        await Source(github).list()


@pytest.mark.parametrize("data", [b"# B", b"", b"# A\n"])
async def test_another_content_than_the_listed_one_is_not_taken(
    github: GitHub, repository: Repository, data: bytes
) -> None:
    repository.blobs[ENTRY.version] = data
    with pytest.raises(SourceUnavailable, match="another content"):
        await Source(github).fetch(ENTRY)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>Log in to the hotel's network</html>",
        [],
        {},
        {"default_branch": None, "html_url": "https://github.com/octo/Docs"},
        {"default_branch": "", "html_url": "https://github.com/octo/Docs"},
        {"default_branch": "main", "html_url": "javascript:alert(1)"},
        b'{"default_branch": "\xff", "html_url": "https://github.com/octo/Docs"}',
        "[" * 100_000,
    ],
)
async def test_a_repository_in_nonsense_is_not_believed(github: GitHub, body: object) -> None:
    github.fault = answer(sends(body), to=NAME)
    with pytest.raises(SourceUnavailable, match="not what its API promises"):
        await Source(github).list()


@pytest.mark.parametrize("body", ["", "main", "../../x", b"\xff", '{"sha": "..."}', "A" * 40])
async def test_a_commit_in_nonsense_is_not_believed(github: GitHub, body: object) -> None:
    github.fault = answer(sends(body), to="/commits/main")
    with pytest.raises(SourceUnavailable, match="not what its API promises"):
        await Source(github).list()


def node(**changes: Any) -> dict[str, Any]:
    return {
        "path": "a.md",
        "mode": "100644",
        "type": "blob",
        "sha": ENTRY.version,
        "size": 3,
    } | changes


@pytest.mark.parametrize(
    "body",
    [
        {"tree": []},
        {"tree": None, "truncated": False},
        {"tree": [node(path=None)], "truncated": False},
        {"tree": [node(path="")], "truncated": False},
        {"tree": [node(sha="../../x")], "truncated": False},
        {"tree": [node(size="big")], "truncated": False},
        '{"tree": [{"path": "\\ud800.md"}], "truncated": false}',
    ],
)
async def test_a_tree_in_nonsense_is_not_believed(github: GitHub, body: object) -> None:
    github.fault = answer(sends(body), to="/git/trees/.*")
    with pytest.raises(SourceUnavailable, match="not what its API promises"):
        await Source(github).list()


@pytest.mark.parametrize("path", ["/a.md", "x//a.md", "../a.md", "x/../a.md", "x\0.md"])
async def test_a_file_with_an_impossible_name_is_skipped(github: GitHub, path: str) -> None:
    tree = {"tree": [node(), node(path=path)], "truncated": False}
    github.fault = answer(sends(tree), to="/git/trees/.*")
    # Names that begin with a dot are hidden, except where a prefix names them.
    listing = await Source(github, path_prefixes=["/", "..", "x/.."]).listing()
    assert [entry.path for entry in listing.entries] == ["a.md"]
    assert listing.skipped == [Skipped(path, "has a name that no file can have")]


async def test_of_two_files_with_one_name_the_first_is_listed(github: GitHub) -> None:
    # Two names that are no UTF-8 become the same one in JSON.
    tree = {
        "tree": [node(path="\ufffd.md"), node(path="\ufffd.md", sha="0" * 40)],
        "truncated": False,
    }
    github.fault = answer(sends(tree), to="/git/trees/.*")
    listing = await Source(github).listing()
    assert [entry.version for entry in listing.entries] == [ENTRY.version]
    assert [skipped.reason for skipped in listing.skipped] == ["has the same name as another file"]


async def test_an_endless_repository_ends(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    async def deeper(request: Request) -> Response | None:
        if "/git/trees/" not in request.url.path:
            return None
        below = node(path="x", type="tree", mode="040000")
        return sends({"tree": [below], "truncated": "recursive" in request.query_params})

    monkeypatch.setattr("app.knowledge.connectors.github_tree._MAX_TREES", 20)
    github.fault = deeper
    with pytest.raises(SourceUnusable, match="too large for GitHub's API"):
        await Source(github).list()
    assert len([path for path in github.asked if "/git/trees/" in path]) == 20


async def test_the_token_is_never_sent_to_another_host(github: GitHub) -> None:
    other = GitHub()
    github.tokens.add(TOKEN)
    async with serve(other.app) as elsewhere:
        places = [f"{elsewhere}/x", elsewhere.replace("http://", "//"), "https://127.0.0.1/x"]
        for place in [*places, github.url.replace("//", "//user:password@")]:
            github.fault = answer(RedirectResponse(place, status_code=307))
            with pytest.raises(SourceUnavailable, match="redirects to another host"):
                await Source(github, token=TOKEN).list()
    assert other.asked == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("place", ["/repos/octo/Docs", "", "http://[", "https://github.com:port"])
async def test_redirects_to_nowhere_end(github: GitHub, status: int, place: str) -> None:
    github.fault = answer(Response(status_code=status, headers={"Location": place}))
    with pytest.raises(SourceUnavailable):
        await Source(github).list()
    assert len(github.asked) <= 6


async def test_the_token_is_never_told(github: GitHub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    source = Source(github, token=TOKEN)
    for fault in (
        answer(Response(status_code=500)),
        answer(refuse(401, f"Bad credentials: {TOKEN}")),
        answer(refuse(429, "Too many", {"Retry-After": "90"})),
        answer(RedirectResponse("http://127.0.0.2")),
    ):
        github.fault = fault
        with pytest.raises((SourceUnavailable, SourceUnusable)) as caught:
            await source.list()
        assert TOKEN not in str(caught.getrepr(style="long", showlocals=False))
    github.tokens.add(TOKEN)
    github.fault = None
    assert await source.list()
    assert caplog.records
    assert TOKEN not in caplog.text
