"""What runs over a folder leave behind: documents, passages and vectors that fit together."""

import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.database import Database
from app.knowledge.document_store import find_embedded
from app.knowledge.embedding import Embedder
from settings import Settings
from tests.runs import Runs, open_runs
from tests.support import execute, fetch

# Each part is a passage of its own.
LONG = "\n\n".join(
    f"## Part {n}\n\n" + f"The number {n} is described here at length. " * 15 for n in range(9)
)
STORED = "SELECT xmin, updated_at FROM document UNION SELECT xmin, NULL FROM chunk"


@pytest.fixture
def runs(
    database: Database, embedder: Embedder, settings: Settings, tmp_path: Path
) -> Iterator[Runs]:
    """Everything fits together after every test."""
    with open_runs(database, embedder, settings, tmp_path / "documents") as runs:
        yield runs
        runs.steps.prune()
        assert_consistent(database.url)


def test_a_document_is_stored_with_its_passages_and_their_vectors(
    runs: Runs, embedder: Embedder
) -> None:
    runs.run({"guide/a.md": "# Title\n\nOne sentence.\n"})

    url = runs.database.url
    [document] = fetch(url, "SELECT path, title, text FROM document")
    assert document == ("guide/a.md", "Title", "# Title\n\nOne sentence.\n")
    [(text, start, end, vector)] = fetch(
        url,
        "SELECT chunk.text, start_offset, end_offset, vector FROM chunk"
        " JOIN embedding USING (content_hash)",
    )
    assert document[2][start:end] == text
    expected = embedder.embed(["Title\n\n" + text])[0]
    assert np.frombuffer(vector, "<f4") == pytest.approx(expected, abs=1e-5)


def test_a_second_run_writes_nothing(runs: Runs) -> None:
    runs.run({"a.md": "# A\n\nText.\n", "b.txt": "Text of b.\n"})
    before = fetch(runs.database.url, STORED)

    runs.run()

    assert fetch(runs.database.url, STORED) == before


def test_a_changed_file_embeds_only_what_is_new(runs: Runs) -> None:
    first = runs.run({"a.md": LONG})

    changed = LONG.replace("The number 4", "The number four")
    second = runs.run({"a.md": f"## A new start\n\n{'Welcome. ' * 90}\n\n{changed}"})

    assert (first["embedded"], second["embedded"]) == (9, 2)
    texts = " ".join(text for (text,) in fetch(runs.database.url, "SELECT text FROM chunk"))
    assert "number four" in texts
    assert "number 4" not in texts


def test_the_same_text_in_many_files_is_embedded_once(runs: Runs) -> None:
    text = "# Licence\n\nDo what you want.\n"

    run = runs.run({f"{n}.md": text for n in range(5)})

    assert (run["stored"], run["passages"], run["embedded"]) == (5, 5, 1)


def test_a_text_that_repeats_within_a_file_keeps_every_place(runs: Runs) -> None:
    part = "# Same\n\n" + "The same words again and again. " * 25 + "\n\n"

    run = runs.run({"a.md": part * 3})

    assert (run["passages"], run["embedded"]) == (3, 1)
    starts = fetch(runs.database.url, "SELECT start_offset FROM chunk ORDER BY ordinal")
    assert starts == sorted(set(starts))


def test_a_heading_that_becomes_text_is_stored_as_text(runs: Runs) -> None:
    runs.run({"a.md": "---\ntitle: Backups\n---\nMake one a day."})

    # The characters that are embedded stay the same.
    run = runs.run({"a.md": "Backups\n\nMake one a day."})

    assert run["embedded"] == 0
    chunks = fetch(runs.database.url, "SELECT heading_path, text FROM chunk")
    assert chunks == [([], "Backups\n\nMake one a day.")]


def test_another_way_of_chunking_stores_again_and_embeds_only_other_passages(runs: Runs) -> None:
    runs.run({"a.md": LONG})
    execute(runs.database.url, "UPDATE document SET recipe = 'the one before'")

    run = runs.run()
    again = runs.run()

    assert (run["stored"], run["embedded"]) == (1, 0)
    assert (again["stored"], again["unchanged"]) == (0, 1)


def test_any_file_name_can_be_stored_and_removed(runs: Runs) -> None:
    names = ["a\nb.md", 'it\'s "x".md', "100%(s)s %s.md", ":path :id.md", "{a,b}\\.md", "é 😀.md"]
    runs.run(dict.fromkeys(names, "# A\n\nText.\n"))
    stored = runs.texts()

    again = runs.run()
    removing = runs.run(dict.fromkeys(names))

    assert stored.keys() == set(names)
    assert again["unchanged"] == len(names)
    assert removing["deleted"] == len(names)


def test_a_name_that_differs_only_in_case_is_another_file(runs: Runs) -> None:
    runs.run({"readme.md": LONG})

    run = runs.run({"readme.md": None, "README.md": LONG})

    assert (run["stored"], run["deleted"], run["embedded"]) == (1, 1, 0)
    assert runs.texts().keys() == {"README.md"}


def test_a_document_without_a_passage_is_stored_once(runs: Runs) -> None:
    run = runs.run({"a.md": "---\ntitle: Nothing else\n---\n"})
    again = runs.run()

    assert (run["stored"], run["passages"], run["embedded"]) == (1, 0, 0)
    assert again["unchanged"] == 1


def test_what_may_be_wrong_with_a_text_is_noted(runs: Runs) -> None:
    run = runs.run({"latin.txt": "Größe".encode("cp1252"), "good.md": "# Good\n\nText.\n"})

    notes = fetch(
        runs.database.url,
        f"SELECT level, path, message FROM ingestion_log WHERE ingestion_id = '{run['id']}'"
        " AND path IS NOT NULL",
    )
    assert notes == [("info", "latin.txt", "not UTF-8; read as Windows-1252")]
    assert runs.texts()["latin.txt"] == "Größe"


def test_what_a_failing_disk_hides_is_not_removed(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a.md", "disk/b.md", "c.md"]
    runs.run({name: f"# {name}\n\nText.\n" for name in names})
    scandir = os.scandir

    def fail(path: Path | int) -> object:
        if not isinstance(path, int) and Path(path).name == "disk":
            raise OSError(errno.EIO, "Input/output error")
        return scandir(path)

    # No permission can keep a folder from root, and a disk that fails can't be made here.
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", fail)
        run = runs.run({"c.md": None})

    assert run["deleted"] == 1
    skipped = fetch(
        runs.database.url, "SELECT path, error FROM ingestion_item WHERE state = 'skipped'"
    )
    assert skipped == [("disk", "can't be read: input/output error")]
    assert runs.texts().keys() == {"a.md", "disk/b.md"}


def test_a_folder_that_is_gone_takes_nothing_with_it(runs: Runs) -> None:
    runs.run({"a.md": "# A\n\nText.\n"})
    runs.folder.rename(runs.folder.with_name("elsewhere"))

    run = runs.run()

    assert run["state"] == "failed"
    assert runs.texts().keys() == {"a.md"}


def test_runs_at_once_over_several_folders_store_shared_texts_once(
    database: Database, embedder: Embedder, settings: Settings, tmp_path: Path
) -> None:
    files = {f"{n}.md": f"# {n}\n\nThe text of file {n}.\n" for n in range(20)}

    def ingest(name: str) -> None:
        with open_runs(database, embedder, settings, tmp_path / name) as runs:
            assert runs.run(files)["stored"] == len(files)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(ingest, ("one", "two", "three")))

    assert fetch(database.url, "SELECT count(*) FROM chunk") == [(60,)]
    assert fetch(database.url, "SELECT count(*) FROM embedding") == [(20,)]
    assert_consistent(database.url)


def test_a_text_whose_vector_was_removed_meanwhile_is_embedded_again(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = "# Shared\n\nIn two files.\n"
    runs.run({"a.md": shared})
    runs.run({"a.md": None})

    def find_and_lose(*args: Any) -> set[str]:
        found = find_embedded(*args)
        assert len(found) == 1
        # By now the step relies on the vector, and has stored nothing.
        execute(runs.database.url, "DELETE FROM embedding")
        monkeypatch.undo()
        return found

    monkeypatch.setattr("app.knowledge.ingestions.steps.find_embedded", find_and_lose)
    run = runs.run({"b.md": shared})

    assert (run["stored"], run["embedded"]) == (1, 1)


def assert_consistent(url: str) -> None:
    """Every chunk has a vector, every vector a chunk, and every offset is right."""
    assert not fetch(
        url,
        "SELECT FROM chunk FULL JOIN embedding USING (content_hash)"
        " WHERE chunk.id IS NULL OR embedding.model IS NULL",
    )
    assert not fetch(
        url,
        "SELECT FROM chunk JOIN document ON document.id = document_id WHERE"
        " chunk.text <> substr(document.text, start_offset + 1, end_offset - start_offset)",
    )
