"""`python -m app ingest` and `status`, as their users run them."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.core.database import Database
from app.knowledge.ingestions.schedule import begin_run
from settings import ROOT, Settings
from tests.accounts.people import join
from tests.accounts.test_profile import own_something
from tests.processes import environment, run_app
from tests.support import eventually, execute, fetch

DUCKS = "# Ducks\n\nDucks can swim.\n"
HENS = "# Hens\n\nHens can not.\n"


@pytest.fixture
def url(settings: Settings) -> str:
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "ducks.md").write_text(DUCKS)
    return folder


@pytest.fixture
def app(settings: Settings, url: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command to its end."""

    def app(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run_app(settings.var_dir, *map(str, arguments), DATABASE_URL=url)

    return app


App = Callable[..., subprocess.CompletedProcess[str]]


@contextmanager
def started(
    settings: Settings, url: str, *arguments: str | Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command beside the test."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env=environment(settings.var_dir, DATABASE_URL=url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def paths(url: str) -> list[str]:
    return [path for (path,) in fetch(url, "SELECT path FROM document ORDER BY path")]


def test_what_changes_in_a_folder_is_ingested_and_nothing_else(
    app: App, url: str, folder: Path
) -> None:
    (folder / "hens.html").write_text("<html><body><p>Hens can not.</p></body></html>")
    (folder / "latin.txt").write_bytes("Größe".encode("cp1252"))
    (folder / "empty.md").write_text("")
    first = app("ingest", folder)
    unchanged = app("ingest", folder)
    (folder / "hens.html").unlink()
    changed = app("ingest", folder)

    assert first.returncode == unchanged.returncode == changed.returncode == 0, first.stderr
    assert first.stdout == (
        "3 stored (3 passages, 3 embedded), 0 unchanged, 0 removed, 1 skipped, 0 failed\n"
    )
    assert first.stderr == (
        "skipped  empty.md: is empty\nnote     latin.txt: not UTF-8; read as Windows-1252\n"
    )
    assert unchanged.stdout.startswith("0 stored (0 passages, 0 embedded), 3 unchanged, 0 removed")
    assert changed.stdout.startswith("0 stored (0 passages, 0 embedded), 2 unchanged, 1 removed")
    assert paths(url) == ["ducks.md", "latin.txt"]
    assert fetch(url, "SELECT count(*) FROM embedding") == [(2,)], "vectors are removed as well"
    assert fetch(url, "SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing')") == []


def test_an_unchanged_folder_starts_no_worker(app: App, url: str, folder: Path) -> None:
    app("ingest", folder)
    execute(url, "DELETE FROM procrastinate_jobs")

    app("ingest", folder)

    # Not even one that has found nothing to do: its own jobs would be there.
    assert fetch(url, "SELECT FROM procrastinate_jobs") == []


def test_a_bundle_is_a_repository(app: App, url: str, folder: Path, tmp_path: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "hens.md").write_text(HENS)
    bundle = tmp_path / "birds.bundle"
    name = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "."),
        (*name, "commit", "--quiet", "--message=Birds"),
        ("bundle", "create", "--quiet", str(bundle), "HEAD", "main"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)

    result = app("ingest", bundle, "--branch", "main", "--path-prefix", "sub")

    assert result.returncode == 0, result.stderr
    assert paths(url) == ["sub/hens.md"]


def test_a_run_that_nobody_works_for_comes_first(
    app: App, url: str, database: Database, folder: Path
) -> None:
    app("ingest", folder)
    [(source_id,)] = fetch(url, "SELECT id FROM source")
    database.run_sync(begin_run, source_id, queue=False)
    (folder / "hens.md").write_text(HENS)

    result = app("ingest", folder)

    assert result.returncode == 0
    assert "It comes first" in result.stderr
    first, own = result.stdout.splitlines()
    assert first.startswith("1 stored")
    assert own.startswith("0 stored (0 passages, 0 embedded), 2 unchanged")


async def test_a_run_that_was_interrupted_or_killed_is_finished_by_the_next(
    app: App, settings: Settings, url: str, folder: Path
) -> None:
    for number in range(300):
        text = " ".join(f"Sentence {n} of file {number} says more." for n in range(40))
        (folder / f"{number}.md").write_text(f"# {number}\n\n{text}\n")

    async def stop_halfway(number: signal.Signals) -> tuple[int, bytes]:
        before = len(paths(url))

        async def has_stored_more() -> bool:
            return len(paths(url)) > before

        with started(settings, url, "ingest", folder) as process:
            await eventually(has_stored_more, within=60)
            process.send_signal(number)
            _, errors = process.communicate()
        assert before < len(paths(url)) < 301
        return process.returncode, errors

    interrupted, errors = await stop_halfway(signal.SIGINT)
    killed, _ = await stop_halfway(signal.SIGKILL)
    # Half a minute later it would be taken for dead.
    execute(url, "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
    finished = app("ingest", folder)

    assert (interrupted, killed, finished.returncode) == (130, -signal.SIGKILL, 0)
    assert errors == b"Interrupted. What was stored stays; run it again to go on.\n"
    assert finished.stdout.splitlines()[-1].startswith(
        "0 stored (0 passages, 0 embedded), 301 unchanged"
    )
    assert len(paths(url)) == 301
    assert fetch(url, "SELECT sum(stored) FROM ingestion") == [(301,)], "nothing is stored twice"


async def test_a_watched_folder_is_ingested_after_each_change_until_it_is_interrupted(
    settings: Settings, url: str, folder: Path
) -> None:
    with started(settings, url, "ingest", folder, "--watch") as process:

        async def has_first() -> bool:
            return paths(url) == ["ducks.md"]

        await eventually(has_first, within=60)
        (folder / "hens.md").write_text(HENS)
        (folder / "ducks.md").unlink()

        async def has_changed() -> bool:
            return paths(url) == ["hens.md"]

        await eventually(has_changed, within=60)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert process.returncode in (0, 130), "it may have been in the middle of a run"
    assert b"Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nowhere",), 1, "There is no file or folder"),
        (("ftp://example.org/",), 2, "bRAG reads nothing from ftp:// URLs"),
        ((".", "--branch", "main"), 2, "A folder has neither --branch"),
        (("https://example.org/", "--watch"), 1, "Only a folder can be watched"),
        (("https://user:secret@example.org/a.git",), 1, "a user name or a password inside"),
    ],
)
def test_what_cannot_be_ingested_is_said_and_leaves_no_source(
    app: App, url: str, arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = app("ingest", *arguments)

    assert result.returncode == code
    assert words in " ".join(result.stderr.replace("│", " ").split())
    assert fetch(url, "SELECT FROM source") == []


def test_a_source_that_cannot_be_read_fails_with_its_reason(
    app: App, folder: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "broken.bundle"
    bundle.write_bytes(b"no bundle at all")

    result = app("ingest", bundle)
    shown = app("status")

    assert result.returncode == 1
    assert result.stdout == ""
    assert "bundle" in result.stderr
    assert "Traceback" not in result.stderr
    assert "failed lately" in shown.stdout


async def test_a_source_that_does_not_answer_is_tried_again(
    settings: Settings, url: str, unused_url: str
) -> None:
    with started(settings, url, "ingest", f"{unused_url}/birds.git") as process:

        async def has_failed_again() -> bool:
            return bool(fetch(url, "SELECT FROM ingestion_log WHERE level = 'warning'"))

        await eventually(has_failed_again, within=60)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "is tried again" in errors.decode()


def test_status_shows_sources_runs_and_workers(
    app: App, url: str, database: Database, folder: Path
) -> None:
    empty = app("status")
    app("ingest", folder)
    [(source_id,)] = fetch(url, "SELECT id FROM source")
    database.run_sync(begin_run, source_id)
    shown = app("status")

    assert empty.returncode == shown.returncode == 0, empty.stderr
    assert "There are no sources" in empty.stdout
    assert f"folder  {folder}  1" in shown.stdout
    assert "under way" in shown.stdout
    assert "queued" in shown.stdout
    assert "1 jobs wait" in shown.stdout


def test_status_counts_what_is_private_to_accounts_and_tells_nothing_else_of_it(
    app: App, url: str, database: Database
) -> None:
    ann, bob = (join(database, f"{name}@example.org") for name in ("ann", "bob"))
    join(database, "nobody@example.org")
    for account_id in (ann, ann, bob):
        own_something(url, account_id)
    execute(
        url,
        "UPDATE source SET location = 'secret ' || location, name = 'secret';"
        f"UPDATE source SET visibility = 'shared', name = '', location = '/shared'"
        f" WHERE account_id = '{bob}';"
        "UPDATE ingestion SET state = 'failed', finished_at = now(), error = 'secret'"
        f" WHERE id = (SELECT ingestion.id FROM ingestion JOIN source ON source.id = source_id"
        f" WHERE account_id = '{ann}' LIMIT 1)",
    )

    shown = app("status")

    assert shown.returncode == 0, shown.stderr
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["ann@example.org", "2", "2", "1", "1"] in lines
    assert ["folder", "/shared", "1", "never"] in lines
    assert "secret" not in shown.stdout
    assert "nobody@" not in shown.stdout
    assert "There are no sources" not in shown.stdout
