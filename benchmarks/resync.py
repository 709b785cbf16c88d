"""A repository ingested, ingested at its next commit, and once more when nothing has changed."""

import os
import statistics
import subprocess
from pathlib import Path

import httpx2

from benchmarks.environment import Environment
from benchmarks.knowledge import write_folder
from benchmarks.result import Result
from benchmarks.runs import begin, end_of, seconds_of, serving, sync

__all__ = ["resync"]

FILES = 223
RENAMED = 153
CHANGED = 20
UNCHANGED_SYNCS = 5
BRANCH = "benchmark"


async def resync(environment: Environment) -> list[Result]:
    """Measure on the last two commits of `BENCH_REPOSITORY`, or on a made-up repository."""
    repository = environment.folder / "repository.git"
    named = os.environ.get("BENCH_REPOSITORY")
    source = Path(named) if named else _make_up(environment.folder / "made-up")
    _git(environment.folder, "clone", "--quiet", "--bare", str(source), repository.name)
    _set_branch(repository, "HEAD~1")
    async with serving(environment) as client:
        config = {"kind": "git", "url": str(repository), "branch": BRANCH}
        first = await end_of(client, await begin(client, config))
        texts = await _texts(client)
        _set_branch(repository, "HEAD")
        second = await sync(client, first["source_id"])
        new = len(await _texts(client) - texts)
        third = [await sync(client, first["source_id"]) for _ in range(UNCHANGED_SYNCS)]
    files, changed = first["stored"], second["stored"]
    return [
        Result(
            "re-sync of the next commit / first sync, in time",
            seconds_of(second) / seconds_of(first),
            # So much if every file cost the same; what was only moved costs less.
            at_most=changed / files,
            parts=f"{seconds_of(second):.2f} s for {second['stored']} files stored and "
            f"{second['deleted']} deleted / {seconds_of(first):.2f} s for {files} files",
        ),
        Result(
            "passages embedded by it / passages that are new",
            second["embedded"] / new,
            at_most=1,
            parts=f"{second['embedded']} / {new}, of {second['passages']} stored; "
            f"the first sync embedded {first['embedded']}",
        ),
        Result(
            f"re-sync of {third[0]['listed']} files with no change",
            statistics.median(map(seconds_of, third)),
            "s",
            at_most=1,
        ),
    ]


async def _texts(client: httpx2.AsyncClient) -> set[tuple[str, ...]]:
    """Return what is embedded of all documents: the headings and the text of each passage."""
    texts = set()
    url: str | None = "/v1/documents?limit=200"
    while url is not None:
        page = await client.get(url)
        for row in page.json():
            document = (await client.get(f"/v1/documents/{row['id']}")).json()
            for chunk in document["chunks"]:
                text = document["text"][chunk["start"] : chunk["end"]]
                texts.add((*chunk["heading_path"], text))
        url = page.links.get("next", {}).get("url")
    return texts


def _make_up(folder: Path) -> Path:
    """Make a repository, most of whose files are renamed by its second commit, and some changed."""
    write_folder(folder, files=FILES)
    _git(folder, "init", "--quiet")
    _commit(folder)
    paths = sorted(folder.rglob("*.md"))
    for path in paths[:RENAMED]:
        (folder / "moved").mkdir(exist_ok=True)
        path.rename(folder / "moved" / path.name)
    for path in paths[RENAMED : RENAMED + CHANGED]:
        path.write_text(f"{path.read_text()}\nSomething was added to {path.name}.\n")
    _commit(folder)
    return folder


def _commit(folder: Path) -> None:
    _git(folder, "add", "--all")
    author = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
    _git(folder, *author, "commit", "--quiet", "--message=Benchmark")


def _set_branch(repository: Path, commit: str) -> None:
    _git(repository, "branch", "--force", BRANCH, commit)


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(("git", *arguments), cwd=folder, check=True)
