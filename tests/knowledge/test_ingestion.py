"""A folder becomes documents, chunks and embeddings, and stays in step with its files."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.core.database import Database
from app.core.exceptions import StartupError
from app.knowledge import ingestion
from app.knowledge.embedding import Embedder
from app.knowledge.exceptions import FolderError
from app.knowledge.ingestion import ingest_folder
from settings import ROOT, Settings
from tests.conftest import Ingest
from tests.support import SilentProgress, eventually, fetch

# Each part is a passage of its own.
LONG = "\n\n".join(
    f"## Part {n}\n\n" + f"The number {n} is described here at length. " * 15 for n in range(9)
)


async def test_a_new_file_is_stored_with_its_passages_and_their_vectors(
    ingest: Ingest, database_url: str, embedder: Embedder
) -> None:
    report = await ingest({"guide/a.md": "# Title\n\nOne sentence.\n"})

    assert (report.stored, report.passages, report.embedded) == (1, 1, 1)
    [document] = fetch(database_url, "SELECT path, title, text FROM document")
    assert document == ("guide/a.md", "Title", "# Title\n\nOne sentence.\n")
    [(text, start, end, vector)] = fetch(
        database_url,
        "SELECT chunk.text, start_offset, end_offset, vector FROM chunk"
        " JOIN embedding USING (content_hash)",
    )
    assert document[2][start:end] == text
    expected = embedder.embed(["Title\n\n" + text])[0]
    assert np.frombuffer(vector, "<f4") == pytest.approx(expected, abs=1e-5)


async def test_a_second_run_embeds_and_writes_nothing(ingest: Ingest, database_url: str) -> None:
    await ingest({"a.md": "# A\n\nText.\n", "b.txt": "Text of b.\n"})
    before = fetch(
        database_url, "SELECT xmin, updated_at FROM document UNION SELECT xmin, NULL FROM chunk"
    )

    report = await ingest()

    assert (report.stored, report.unchanged, report.embedded) == (0, 2, 0)
    assert before == fetch(
        database_url, "SELECT xmin, updated_at FROM document UNION SELECT xmin, NULL FROM chunk"
    )


async def test_a_changed_file_replaces_its_version_and_embeds_only_what_is_new(
    ingest: Ingest, database_url: str
) -> None:
    first = await ingest({"a.md": LONG})
    changed = LONG.replace("The number 4", "The number four")
    second = await ingest({"a.md": f"## A new start\n\n{'Welcome. ' * 90}\n\n{changed}"})

    assert second.stored == 1
    assert first.embedded == 9
    assert second.embedded == 2
    texts = " ".join(text for (text,) in fetch(database_url, "SELECT text FROM chunk"))
    assert "number four" in texts
    assert "number 4" not in texts
    assert_consistent(database_url)


async def test_a_vanished_file_is_removed_with_its_passages_and_vectors(
    ingest: Ingest, database_url: str
) -> None:
    await ingest({"a.md": "# A\n\nStays.\n", "b.md": "# B\n\nGoes.\n"})

    report = await ingest({"b.md": None})

    assert report.removed == 1
    assert fetch(database_url, "SELECT path FROM document") == [("a.md",)]
    assert_consistent(database_url)


async def test_a_renamed_file_is_not_embedded_again(ingest: Ingest, database_url: str) -> None:
    await ingest({"a.md": LONG})

    report = await ingest({"a.md": None, "folder/b.md": LONG})

    assert (report.stored, report.removed, report.embedded) == (1, 1, 0)
    assert_consistent(database_url)


async def test_the_same_text_in_many_files_is_embedded_once(
    ingest: Ingest, database_url: str
) -> None:
    text = "# Licence\n\nDo what you want.\n"

    report = await ingest({f"{n}.md": text for n in range(5)})

    assert (report.stored, report.passages, report.embedded) == (5, 5, 1)
    assert_consistent(database_url)


async def test_a_text_that_repeats_within_a_file_keeps_every_place(
    ingest: Ingest, database_url: str
) -> None:
    part = "# Same\n\n" + "The same words again and again. " * 25 + "\n\n"

    report = await ingest({"a.md": part * 3})

    assert report.passages == 3
    assert report.embedded == 1
    starts = fetch(database_url, "SELECT start_offset FROM chunk ORDER BY ordinal")
    assert starts == sorted(set(starts))


async def test_a_heading_that_becomes_text_is_stored_as_text(
    ingest: Ingest, database_url: str
) -> None:
    await ingest({"a.md": "---\ntitle: Backups\n---\nMake one a day."})

    # The characters that are embedded stay the same.
    report = await ingest({"a.md": "Backups\n\nMake one a day."})

    assert report.embedded == 0
    chunks = fetch(database_url, "SELECT heading_path, text FROM chunk")
    assert chunks == [([], "Backups\n\nMake one a day.")]
    assert_consistent(database_url)


async def test_another_way_of_chunking_stores_again_and_embeds_only_other_passages(
    ingest: Ingest, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingest({"a.md": LONG})
    monkeypatch.setattr(ingestion, "RECIPE", "the next")

    report = await ingest()
    again = await ingest()

    assert (report.stored, report.embedded) == (1, 0)
    assert (again.stored, again.unchanged) == (0, 1)
    assert_consistent(database_url)


async def test_any_file_name_can_be_stored_and_removed(ingest: Ingest, database_url: str) -> None:
    names = ["a\nb.md", 'it\'s "x".md', "100%(s)s %s.md", ":path :id.md", "{a,b}\\.md", "é 😀.md"]
    await ingest(dict.fromkeys(names, "# A\n\nText.\n"))

    again = await ingest()
    stored = fetch(database_url, "SELECT path FROM document")
    removing = await ingest(dict.fromkeys(names))

    assert again.unchanged == len(names)
    assert sorted(path for (path,) in stored) == sorted(names)
    assert removing.removed == len(names)
    assert_consistent(database_url)


async def test_a_name_that_differs_only_in_case_is_another_file(
    ingest: Ingest, database_url: str
) -> None:
    await ingest({"readme.md": LONG})

    report = await ingest({"readme.md": None, "README.md": LONG})

    assert (report.stored, report.removed, report.embedded) == (1, 1, 0)
    assert fetch(database_url, "SELECT path FROM document") == [("README.md",)]


async def test_a_document_without_a_passage_is_stored_once(ingest: Ingest) -> None:
    files: dict[str, str] = {"a.md": "---\ntitle: Nothing else\n---\n"}

    report = await ingest(files)
    again = await ingest()

    assert (report.stored, report.passages, report.embedded) == (1, 0, 0)
    assert again.unchanged == 1


async def test_a_big_document_shows_its_progress_before_it_is_stored(
    ingest: Ingest,
    database: Database,
    database_url: str,
    embedder: Embedder,
    tmp_path: Path,
) -> None:
    part = "The number {0} is described here. " * 12
    await ingest({"small.md": "# Small\n\nText.\n"})
    (tmp_path / "documents" / "big.md").write_text(
        "\n\n".join(f"## Part {n}\n\n{part.format(n)}" for n in range(600))
    )
    loads: list[None] = []

    class WatchedProgress:
        files = passages = total = 0
        before_stored = 0

        def start(self, files: int) -> None:
            self.total = files

        def advance(self, files: int, passages: int) -> None:
            self.files += files
            self.passages += passages
            if len(fetch(database_url, "SELECT FROM document")) == 1:
                self.before_stored = self.passages

    def load_embedder() -> Embedder:
        loads.append(None)
        return embedder

    progress = WatchedProgress()
    report = await ingest_folder(
        database,
        load_embedder,
        tmp_path / "documents",
        model=embedder.model_name,
        max_bytes=1_000_000,
        progress=progress,
    )

    assert progress.before_stored == report.embedded == 600
    assert (progress.files, progress.total) == (2, 2)
    assert progress.passages == report.passages == 600
    assert len(loads) == 1, "the model is loaded once"
    assert_consistent(database_url)


async def test_a_file_that_cannot_be_used_is_reported_and_the_others_go_on(
    ingest: Ingest, database_url: str
) -> None:
    report = await ingest(
        {
            "empty.md": "",
            "binary.txt": b"\x00\x01\x02",
            "big.md": "x" * 1_000_001,
            "latin.txt": "Größe".encode("cp1252"),
            "good.md": "# Good\n\nText.\n",
        }
    )

    assert {skipped.path for skipped in report.skipped} == {"empty.md", "binary.txt", "big.md"}
    assert all(skipped.reason for skipped in report.skipped)
    assert [path for path, _ in report.notes] == ["latin.txt"]
    stored = dict(fetch(database_url, "SELECT path, text FROM document"))
    assert stored == {"good.md": "# Good\n\nText.\n", "latin.txt": "Größe"}


async def test_a_file_that_became_unusable_loses_its_earlier_version(
    ingest: Ingest, database_url: str
) -> None:
    await ingest({"a.md": "# A\n\nText.\n"})

    await ingest({"a.md": ""})

    assert fetch(database_url, "SELECT path FROM document") == []


async def test_what_a_failing_disk_hides_is_not_removed(
    ingest: Ingest, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingest(
        {"a.md": "# A\n\nText.\n", "disk/b.md": "# B\n\nText.\n", "c.md": "# C\n\nText.\n"}
    )
    scandir = os.scandir

    def fail(path: Path) -> object:
        if Path(path).name == "disk":
            raise OSError(errno.EIO, "Input/output error")
        return scandir(path)

    # No permission can keep a folder from root, and a disk that fails can't be made here.
    monkeypatch.setattr(os, "scandir", fail)
    report = await ingest({"c.md": None})

    assert report.removed == 1
    assert [(skipped.path, skipped.reason) for skipped in report.skipped] == [
        ("disk", "can't be read: input/output error")
    ]
    stored = fetch(database_url, "SELECT path FROM document ORDER BY path")
    assert stored == [("a.md",), ("disk/b.md",)]


async def test_a_folder_that_is_missing_is_a_plain_error_and_removes_nothing(
    ingest: Ingest, database: Database, database_url: str, embedder: Embedder, tmp_path: Path
) -> None:
    await ingest({"a.md": "# A\n\nText.\n"})
    (tmp_path / "documents").rename(tmp_path / "elsewhere")

    with pytest.raises(FolderError):
        await ingest_folder(
            database,
            lambda: embedder,
            tmp_path / "documents",
            model=embedder.model_name,
            max_bytes=1_000,
            progress=SilentProgress(),
        )
    assert len(fetch(database_url, "SELECT FROM document")) == 1


async def test_another_model_is_refused_before_anything_is_read(
    ingest: Ingest, database: Database, embedder: Embedder, tmp_path: Path
) -> None:
    await ingest({"a.md": "# A\n\nText.\n"})

    with pytest.raises(StartupError, match="EMBEDDING_MODEL=sentence-transformers"):
        await ingest_folder(
            database,
            lambda: embedder,
            tmp_path / "documents",
            model="BAAI/bge-small-en-v1.5",
            max_bytes=1_000,
            progress=SilentProgress(),
        )


async def test_runs_at_once_on_an_empty_database_store_everything_once(
    ingest: Ingest, database_url: str
) -> None:
    files = {f"{n}.md": f"# {n}\n\nThe text of file {n}.\n" for n in range(40)}

    await asyncio.gather(ingest(files), ingest(), ingest())
    report = await ingest()

    assert report.unchanged == 40
    assert len(fetch(database_url, "SELECT FROM chunk")) == 40
    assert_consistent(database_url)


async def test_a_text_whose_vector_another_run_removed_meanwhile_is_embedded_again(
    ingest: Ingest, database: Database, database_url: str, embedder: Embedder, tmp_path: Path
) -> None:
    shared = "# Shared\n\nIn two folders.\n"
    await ingest({"a.md": shared})
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.md").write_text(shared)
    (other / "c.md").write_text("# New\n\nOnly here.\n")

    async def remove() -> None:
        await ingest({"a.md": None})

    def load_embedder() -> Embedder:
        # By now the run relies on the shared text's vector, and has stored nothing.
        asyncio.run(remove())
        assert fetch(database_url, "SELECT FROM embedding") == []
        return embedder

    report = await ingest_folder(
        database,
        load_embedder,
        other,
        model=embedder.model_name,
        max_bytes=1_000,
        progress=SilentProgress(),
    )

    assert report.embedded == 2
    assert_consistent(database_url)


async def test_a_run_that_was_interrupted_or_killed_is_finished_by_the_next(
    ingest: Ingest, settings: Settings, database_url: str, tmp_path: Path
) -> None:
    await ingest({"first.md": "# First\n\nText.\n"})
    folder = tmp_path / "documents"
    for number in range(400):
        text = " ".join(f"Sentence {n} of file {number} says more." for n in range(60))
        (folder / f"{number}.md").write_text(f"# {number}\n\n{text}\n")
    environment = os.environ | {"DATABASE_URL": database_url, "VAR_DIR": str(settings.var_dir)}
    command = [sys.executable, "-m", "app", "ingest", str(folder)]

    def stored() -> int:
        return len(fetch(database_url, "SELECT FROM document"))

    async def stop_halfway(number: signal.Signals) -> tuple[int, bytes]:
        before = stored()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

        async def stored_more() -> bool:
            return stored() > before

        await eventually(stored_more, within=60)
        process.send_signal(number)
        _, errors = process.communicate()
        assert before < stored() < 401
        assert_consistent(database_url)
        return process.returncode, errors

    code, errors = await stop_halfway(signal.SIGINT)
    assert code == 130
    assert b"Traceback" not in errors
    code, _ = await stop_halfway(signal.SIGKILL)
    assert code == -signal.SIGKILL
    some = stored()
    result = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)

    assert f"{some} unchanged" in result.stdout.decode()
    assert stored() == 401
    assert_consistent(database_url)


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
