"""What the steps of a run do, one after the other and interrupted."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.accounts.models import LOCAL
from app.core.database import Database
from app.core.exceptions import Conflict
from app.knowledge.connectors.folder import FolderSnapshot
from app.knowledge.document_store import prune_embeddings
from app.knowledge.embedding import Embedder
from app.knowledge.exceptions import ParserFailed
from app.knowledge.files import Skipped
from app.knowledge.ingestions.services import cancel, retry
from app.knowledge.parsing.sandbox import Parser
from settings import Settings
from tests.runs import Runs, open_runs
from tests.support import execute, fetch

TWO = {"a.md": "# Ducks\n\nDucks can swim.", "b/c.md": "# Hens\n\nHens can not."}


@pytest.fixture
def runs(
    database: Database, embedder: Embedder, settings: Settings, tmp_path: Path
) -> Iterator[Runs]:
    with open_runs(database, embedder, settings, tmp_path / "documents") as runs:
        yield runs


def counts(run: dict[str, object]) -> dict[str, object]:
    names = ("listed", "unchanged", "stored", "deleted", "skipped", "failed")
    return {name: run[name] for name in names if run[name]}


def test_a_run_stores_what_the_source_has(runs: Runs) -> None:
    run = runs.run(TWO)

    assert run["state"] == "succeeded"
    assert counts(run) == {"listed": 2, "stored": 2}
    assert (run["passages"], run["embedded"]) == (2, 2)
    assert runs.texts() == TWO


def test_a_second_run_finds_everything_unchanged(runs: Runs) -> None:
    runs.run(TWO)

    run = runs.run()

    assert counts(run) == {"listed": 2, "unchanged": 2}
    assert runs.items(str(run["id"])) == {}


def test_what_has_changed_is_replaced_and_what_has_vanished_is_removed(runs: Runs) -> None:
    runs.run(TWO)

    run = runs.run({"a.md": "# Ducks\n\nDucks can fly.", "b/c.md": None, "d.txt": "Geese."})

    assert counts(run) == {"listed": 2, "stored": 2, "deleted": 1}
    assert runs.texts() == {"a.md": "# Ducks\n\nDucks can fly.", "d.txt": "Geese."}


def test_a_renamed_file_is_not_embedded_again(runs: Runs) -> None:
    runs.run(TWO)

    run = runs.run({"a.md": None, "moved/a.md": TWO["a.md"]})

    assert counts(run) == {"listed": 2, "unchanged": 1, "stored": 1, "deleted": 1}
    assert run["embedded"] == 0


def test_vectors_that_nothing_needs_are_pruned_in_the_end(runs: Runs) -> None:
    runs.run(TWO)
    runs.run({"a.md": None})

    queued = fetch(
        runs.database.url,
        "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'maintenance:prune'",
    )
    runs.database.run_sync(prune_embeddings)

    assert queued[0][0] >= 1
    assert fetch(runs.database.url, "SELECT count(*) FROM embedding") == [(1,)]


def test_what_can_not_be_used_is_skipped_with_its_reason(runs: Runs) -> None:
    run = runs.run({"good.md": "Good.", "empty.md": " \n", "picture.md": b"\x89PNG\r\n\x1a\n\0\0"})

    assert run["state"] == "succeeded"
    assert counts(run) == {"listed": 3, "stored": 1, "skipped": 2}
    reasons = dict(fetch(runs.database.url, "SELECT path, error FROM ingestion_item"))
    assert reasons["empty.md"] == "is empty"
    assert reasons["picture.md"]


def test_a_document_whose_file_is_of_no_use_any_more_is_removed(runs: Runs) -> None:
    runs.run(TWO)

    runs.run({"a.md": ""})

    assert runs.texts().keys() == {"b/c.md"}


def test_everything_is_stored_again_when_asked_for(runs: Runs) -> None:
    runs.run(TWO)

    run = runs.finish(runs.begin(everything=True))

    assert counts(run) == {"listed": 2, "stored": 2}
    assert run["embedded"] == 0


def test_a_folder_that_is_gone_ends_the_run_with_its_reason(runs: Runs) -> None:
    runs.folder.rmdir()

    run = runs.finish(runs.begin())

    assert run["state"] == "failed"
    assert "There is no file or folder" in str(run["error"])


def test_a_folder_elsewhere_is_not_read(runs: Runs, tmp_path: Path) -> None:
    config = json.dumps({"kind": "folder", "path": str(tmp_path)})
    execute(runs.database.url, f"UPDATE source SET config = '{config}'")

    run = runs.finish(runs.begin())

    assert run["state"] == "failed"
    assert "INGEST_ROOTS" in str(run["error"])


def test_an_emptied_source_loses_all_its_documents(runs: Runs) -> None:
    runs.run(TWO)

    run = runs.run({"a.md": None, "b/c.md": None})

    assert counts(run) == {"deleted": 2}
    assert runs.texts() == {}


def test_a_listing_that_was_killed_begins_again(runs: Runs) -> None:
    runs.write(TWO)
    ingestion_id = runs.begin()
    execute(
        runs.database.url,
        "UPDATE ingestion SET state = 'listing';"
        " INSERT INTO ingestion_item (ingestion_id, path, state)"
        f" VALUES ('{ingestion_id}', 'left-over.md', 'pending')",
    )

    run = runs.finish(ingestion_id)

    assert counts(run) == {"listed": 2, "stored": 2}
    assert runs.texts() == TWO


def test_steps_that_are_done_twice_change_nothing(runs: Runs) -> None:
    runs.write(TWO)
    ingestion_id = runs.begin()
    runs.steps.list_source(ingestion_id)
    for _ in range(2):
        runs.steps.store_document(ingestion_id, "a.md")
    runs.steps.list_source(ingestion_id)

    run = runs.finish(ingestion_id)
    runs.steps.store_document(ingestion_id, "b/c.md")

    assert runs.find(ingestion_id) == run
    assert counts(run) == {"listed": 2, "stored": 2}


def test_a_run_that_is_cancelled_stores_nothing_more(runs: Runs) -> None:
    runs.write(TWO)
    ingestion_id = runs.begin()
    runs.steps.list_source(ingestion_id)
    runs.steps.store_document(ingestion_id, "a.md")
    asyncio.run(cancel(runs.database, LOCAL, UUID(ingestion_id)))

    runs.steps.store_document(ingestion_id, "b/c.md")
    assert not runs.steps.fetch_document(ingestion_id, "b/c.md")

    assert runs.find(ingestion_id)["state"] == "cancelled"
    assert runs.items(ingestion_id) == {"a.md": "stored", "b/c.md": "cancelled"}
    assert runs.texts().keys() == {"a.md"}


def test_steps_of_a_source_that_was_deleted_do_nothing(runs: Runs) -> None:
    runs.write(TWO)
    ingestion_id = runs.begin()
    runs.steps.list_source(ingestion_id)
    execute(runs.database.url, "DELETE FROM source")

    runs.steps.list_source(ingestion_id)
    assert not runs.steps.fetch_document(ingestion_id, "a.md")
    runs.steps.store_document(ingestion_id, "a.md")
    runs.steps.note_failure(ingestion_id, "a.md", "It broke.", final=True)

    assert runs.texts() == {}


def test_a_failure_is_kept_and_the_run_ends_incomplete(runs: Runs) -> None:
    runs.write(TWO)
    ingestion_id = runs.begin()
    runs.steps.list_source(ingestion_id)

    runs.steps.note_failure(ingestion_id, "a.md", "It broke.", final=False)
    runs.steps.note_failure(ingestion_id, "a.md", "It broke again.", final=True)
    run = runs.finish(ingestion_id)

    assert run["state"] == "incomplete"
    assert counts(run) == {"listed": 2, "stored": 1, "failed": 1}
    row = fetch(runs.database.url, "SELECT error, attempts FROM ingestion_item WHERE path = 'a.md'")
    assert row == [("It broke again.", 2)]


def test_after_a_failure_the_next_run_looks_again(runs: Runs) -> None:
    test_a_failure_is_kept_and_the_run_ends_incomplete(runs)

    run = runs.run()

    assert counts(run) == {"listed": 2, "unchanged": 1, "stored": 1}


def test_a_listing_that_failed_for_good_ends_the_run(runs: Runs) -> None:
    ingestion_id = runs.begin()
    runs.steps.note_failure(ingestion_id, None, "No answer.", final=False)
    assert runs.find(ingestion_id)["state"] == "queued"

    runs.steps.note_failure(ingestion_id, None, "No answer.", final=True)

    assert runs.find(ingestion_id)["error"] == "No answer."


def test_a_path_that_is_too_long_is_skipped(runs: Runs) -> None:
    long = "/".join(["d" * 200] * 11) + ".md"

    run = runs.run({long: "Deep.", "a.md": "Here."})

    assert counts(run) == {"listed": 2, "stored": 1, "skipped": 1}


def test_a_listing_that_was_taken_for_dead_changes_nothing_any_more(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it reads, another one begins; then it goes on."""
    runs.write(TWO)
    ingestion_id = runs.begin()
    read = FolderSnapshot.read

    def read_late(*args: Any) -> Any:
        runs.database.run_sync(
            lambda queries: queries.begin_listing(ingestion_id=ingestion_id, recipe="1")
        )
        return read(*args)

    with monkeypatch.context() as patch:
        patch.setattr(FolderSnapshot, "read", read_late)
        runs.steps.list_source(ingestion_id)

    assert runs.items(ingestion_id) == {}
    assert runs.find(ingestion_id)["state"] == "listing"
    assert counts(runs.finish(ingestion_id)) == {"listed": 2, "stored": 2}


def test_a_run_that_no_job_works_for_is_resumed(runs: Runs) -> None:
    runs.write(TWO)
    queued, url = runs.begin(), runs.database.url
    execute(url, "DELETE FROM procrastinate_jobs")
    runs.steps.schedule()
    assert fetch(url, "SELECT count(*) FROM procrastinate_jobs") == [(0,)]

    execute(url, "UPDATE ingestion SET created_at = now() - interval '2 minutes'")
    runs.steps.schedule()
    assert fetch(url, "SELECT task_name FROM procrastinate_jobs") == [("ingestion:list",)]

    runs.steps.list_source(queued)
    runs.steps.store_document(queued, "a.md")
    execute(url, "DELETE FROM procrastinate_jobs")
    runs.steps.schedule()
    assert fetch(url, "SELECT args ->> 'path' FROM procrastinate_jobs") == [("b/c.md",)]

    execute(url, "DELETE FROM procrastinate_jobs; DELETE FROM ingestion_item WHERE path = 'b/c.md'")
    runs.steps.schedule()
    assert runs.find(queued)["state"] == "succeeded"


def test_a_source_is_synced_again_when_its_time_has_come(runs: Runs) -> None:
    url = runs.database.url
    runs.run(TWO)
    execute(url, "DELETE FROM procrastinate_jobs; UPDATE source SET every = interval '1 hour'")
    runs.steps.schedule()
    assert fetch(url, "SELECT count(*) FROM procrastinate_jobs") == [(0,)]

    execute(url, "UPDATE ingestion SET created_at = now() - interval '2 hours'")
    runs.steps.schedule()
    runs.steps.schedule()

    due = fetch(url, "SELECT state FROM ingestion WHERE cause = 'schedule'")
    assert due == [("queued",)]
    assert fetch(url, "SELECT task_name FROM procrastinate_jobs") == [("ingestion:list",)]


def test_a_folder_that_the_operator_named_may_lie_anywhere(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.md").write_text("Ducks.")
    config = json.dumps({"kind": "folder", "path": str(tmp_path / "elsewhere")})
    execute(runs.database.url, f"UPDATE source SET by_operator = true, config = '{config}'")

    run = runs.finish(runs.begin())

    assert counts(run) == {"listed": 1, "stored": 1}


def test_what_could_not_be_used_is_not_looked_at_again_until_it_changes(runs: Runs) -> None:
    runs.run({"a.md": "Ducks.", "broken.pdf": b"%PDF-1.7 nothing of use"})

    for _ in range(2):
        ingestion_id = runs.begin()
        runs.steps.list_source(ingestion_id)

        run = runs.find(ingestion_id)
        assert run["state"] == "succeeded"
        assert counts(run) == {"listed": 2, "unchanged": 1, "skipped": 1}

    assert counts(runs.run({"broken.pdf": "By now it is text."})) == {
        "listed": 2,
        "unchanged": 1,
        "stored": 1,
    }


def test_documents_that_were_read_in_another_way_are_read_again(runs: Runs) -> None:
    runs.run(TWO)
    execute(runs.database.url, "UPDATE document SET recipe = 'older' WHERE path = 'a.md'")

    run = runs.run()

    assert counts(run) == {"listed": 2, "unchanged": 1, "stored": 1}


def test_an_unchanged_source_is_synced_all_the_same(runs: Runs) -> None:
    runs.run(TWO)
    execute(runs.database.url, "UPDATE source SET synced_at = NULL")

    runs.run()

    assert fetch(runs.database.url, "SELECT count(synced_at) FROM source") == [(1,)]


def test_old_runs_are_forgotten_but_the_last_one_of_each_source(runs: Runs) -> None:
    url = runs.database.url
    for _ in range(3):
        runs.run(TWO)
    execute(url, "UPDATE ingestion SET finished_at = now() - interval '100 days'")

    runs.steps.clean()

    assert fetch(url, "SELECT count(*) FROM ingestion") == [(1,)]
    assert counts(runs.run()) == {"listed": 2, "unchanged": 2}


def test_an_old_run_is_not_tried_again_after_a_later_one(runs: Runs) -> None:
    runs.write(TWO)
    old = runs.begin()
    runs.steps.list_source(old)
    runs.steps.note_failure(old, "a.md", "It broke.", final=True)
    runs.finish(old)
    runs.run({"a.md": "# Ducks\n\nThe new text."})

    with pytest.raises(Conflict, match="later run"):
        asyncio.run(retry(runs.database, LOCAL, UUID(old)))

    assert runs.texts()["a.md"] == "# Ducks\n\nThe new text."


def test_who_asks_while_a_run_has_looked_already_gets_another_one(runs: Runs) -> None:
    runs.write(TWO)
    first = runs.begin()
    assert runs.begin() == first
    runs.steps.list_source(first)
    runs.write({"late.md": "Late."})
    assert runs.begin() == first

    runs.finish(first)
    second = runs.begin()

    assert second != first
    assert fetch(runs.database.url, "SELECT count(*) FROM ingestion") == [(2,)]
    assert counts(runs.finish(second)) == {"listed": 3, "unchanged": 2, "stored": 1}


def test_what_just_could_not_be_read_is_looked_at_again(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.run(TWO)

    def read(self: FolderSnapshot, entries: Any) -> Any:
        yield from ((entry, Skipped(entry.path, "can't be read", True)) for entry in entries)

    with monkeypatch.context() as patch:
        patch.setattr(FolderSnapshot, "read", read)
        run = runs.run({"a.md": "# Ducks\n\nThe new text."})
    assert counts(run) == {"listed": 2, "unchanged": 1, "skipped": 1}
    assert runs.texts()["a.md"] == TWO["a.md"]

    assert counts(runs.run()) == {"listed": 2, "unchanged": 1, "stored": 1}


def test_a_document_that_is_too_much_for_its_parser_keeps_what_was_stored(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.run(TWO)

    def parse(*_: Any) -> Any:
        raise ParserFailed("takes longer than 60 s to read")

    with monkeypatch.context() as patch:
        patch.setattr(Parser, "parse", parse)
        run = runs.run({"a.md": "# Ducks\n\nThe new text."})

    assert counts(run) == {"listed": 2, "unchanged": 1, "failed": 1}
    assert runs.texts() == TWO
