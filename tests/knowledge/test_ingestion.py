"""A folder becomes documents, chunks and embeddings, and stays in step with its files."""

import asyncio
import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.core.database import Database
from app.core.exceptions import StartupError
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


async def test_two_runs_at_once_store_everything_once(ingest: Ingest, database_url: str) -> None:
    files = {f"{n}.md": f"# {n}\n\nThe text of file {n}.\n" for n in range(40)}
    await ingest({"0.md": files["0.md"]})

    await asyncio.gather(ingest(files), ingest(), ingest())
    report = await ingest()

    assert report.unchanged == 40
    assert len(fetch(database_url, "SELECT FROM chunk")) == 40
    assert_consistent(database_url)


async def test_a_run_that_was_killed_is_finished_by_the_next(
    ingest: Ingest, settings: Settings, database_url: str, tmp_path: Path
) -> None:
    await ingest({"first.md": "# First\n\nText.\n"})
    folder = tmp_path / "documents"
    for number in range(300):
        text = " ".join(f"Sentence {n} of file {number} says more." for n in range(60))
        (folder / f"{number}.md").write_text(f"# {number}\n\n{text}\n")
    environment = os.environ | {"DATABASE_URL": database_url, "VAR_DIR": str(settings.var_dir)}
    command = [sys.executable, "-m", "app", "ingest", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)

    async def stored_some() -> bool:
        return len(fetch(database_url, "SELECT FROM document")) > 1

    await eventually(stored_some, within=60)
    process.kill()
    process.wait()
    some = len(fetch(database_url, "SELECT FROM document"))
    assert_consistent(database_url)
    result = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)

    assert 1 < some < 301
    assert f"{some} unchanged" in result.stdout.decode()
    assert len(fetch(database_url, "SELECT FROM document")) == 301
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
