"""Another embedding model beside the old one, and when it takes over."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.core.database import Database
from app.core.exceptions import Conflict
from app.knowledge.document_store import find_embedded, prune_embeddings
from app.knowledge.embedding import Embedder
from app.knowledge.exceptions import ModelNotReady
from app.knowledge.index_model import find_model_name
from app.knowledge.ingestions.steps import open_steps
from app.knowledge.model_files import require_model
from app.knowledge.reindexing import begin_reindex, reindex
from settings import Settings
from tests.knowledge.second_model import SECOND_DIMENSIONS, SECOND_MODEL, models_with_second
from tests.runs import Runs, open_runs
from tests.support import execute, fetch

FILES: dict[str, str | bytes | None] = {
    f"{number}.md": f"# Bird {number}\n\nBird number {number} can swim.\n" for number in range(300)
}
DUCKS = "# Ducks\n\nDucks can swim.\n"
HENS = "# Hens\n\nHens can not.\n"


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return models_with_second(tmp_path / "models")


@pytest.fixture
def second(models_dir: Path) -> Embedder:
    return Embedder.load(SECOND_MODEL, require_model(SECOND_MODEL, models_dir))


@pytest.fixture
def runs(
    database: Database, embedder: Embedder, second: Embedder, settings: Settings, tmp_path: Path
) -> Iterator[Runs]:
    """Runs of a worker that was started with the default model."""
    with open_runs(database, embedder, settings, tmp_path / "documents") as runs:
        embedders = {embedder.model_name: embedder, SECOND_MODEL: second}
        runs.steps._load_embedder = embedders.__getitem__  # type: ignore[assignment]
        yield runs


def unwatched(done: int, total: int) -> None:
    """Nobody watches."""


async def reindex_all(
    database: Database, embedder: Embedder, progress: Callable[[int, int], None] = unwatched
) -> None:
    await database.run(begin_reindex, embedder.model_name)
    await reindex(database, embedder, progress)


def model_of(database: Database) -> str | None:
    return database.run_sync(find_model_name)


def lacking(database: Database, model: str) -> list[tuple[Any, ...]]:
    """The paths of documents with a chunk that has no vector of a model."""
    return fetch(
        database.url,
        "SELECT DISTINCT path FROM chunk JOIN document ON document.id = document_id WHERE NOT"
        " EXISTS (SELECT FROM embedding WHERE embedding.content_hash = chunk.content_hash AND"
        f" model = '{model}')",
    )


async def test_everything_is_embedded_and_then_the_model_is_another(
    runs: Runs, database: Database, embedder: Embedder, second: Embedder
) -> None:
    runs.run(FILES)
    seen: list[tuple[int, int]] = []

    await reindex_all(database, second, lambda done, total: seen.append((done, total)))

    assert fetch(database.url, "SELECT model, dimensions FROM index_model") == [
        (SECOND_MODEL, SECOND_DIMENSIONS)
    ]
    assert lacking(database, SECOND_MODEL) == []
    assert seen[0] == (0, 300)
    assert seen[-1] == (300, 300)
    assert lacking(database, embedder.model_name) == [], "the old vectors are still there"


async def test_who_begins_again_goes_on_where_it_was(
    runs: Runs, database: Database, second: Embedder
) -> None:
    runs.run(FILES)

    def give_up(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await reindex_all(database, second, give_up)
    interrupted_in = model_of(database)
    seen: list[int] = []
    await reindex_all(database, second, lambda done, total: seen.append(done))

    assert interrupted_in != SECOND_MODEL
    assert seen == [256, 300]
    assert model_of(database) == SECOND_MODEL


async def test_documents_that_are_stored_meanwhile_are_embedded_too(
    runs: Runs, database: Database, second: Embedder
) -> None:
    runs.run({"ducks.md": DUCKS})
    files: Iterator[dict[str, str | bytes | None]] = iter(
        [{"hens.md": HENS}, {"geese.md": "# Geese\n\nGeese fly.\n", "ducks.md": None}]
    )

    def store_more(done: int, total: int) -> None:
        # They come behind the batch that has just been embedded, or before it.
        if done and (more := next(files, None)):
            runs.run(more)

    await reindex_all(database, second, store_more)

    assert model_of(database) == SECOND_MODEL
    assert lacking(database, SECOND_MODEL) == []
    assert runs.texts().keys() == {"hens.md", "geese.md"}


async def test_two_at_once_do_no_harm(runs: Runs, database: Database, second: Embedder) -> None:
    runs.run(FILES)
    started = False

    def start_another(done: int, total: int) -> None:
        nonlocal started
        if done and not started:
            started = True
            with ThreadPoolExecutor(1) as thread:
                thread.submit(_reindex_elsewhere, database.url, second).result()

    await reindex_all(database, second, start_another)

    assert started
    assert model_of(database) == SECOND_MODEL
    assert lacking(database, SECOND_MODEL) == []


async def test_a_reindex_is_given_up_by_one_with_the_old_model(
    runs: Runs, database: Database, embedder: Embedder, second: Embedder
) -> None:
    runs.run(FILES)

    def give_up(done: int, total: int) -> None:
        if done:
            database.run_sync(begin_reindex, embedder.model_name)

    with pytest.raises(Conflict, match="was given up"):
        await reindex_all(database, second, give_up)
    database.run_sync(prune_embeddings)

    assert model_of(database) == embedder.model_name
    assert fetch(database.url, "SELECT DISTINCT model FROM embedding") == [(embedder.model_name,)]


async def test_texts_that_were_altered_are_told_instead_of_being_tried_for_ever(
    runs: Runs, database: Database, embedder: Embedder, second: Embedder
) -> None:
    runs.run({"ducks.md": DUCKS})
    execute(database.url, "UPDATE chunk SET text = 'Ducks can fly.'")

    with pytest.raises(Conflict, match="doctor --repair"):
        await reindex_all(database, second)

    assert model_of(database) == embedder.model_name


async def test_a_worker_that_runs_goes_on_with_the_new_model(
    runs: Runs, database: Database, second: Embedder
) -> None:
    runs.run({"ducks.md": DUCKS})
    await reindex_all(database, second)

    run = runs.run({"hens.md": HENS})

    assert (run["state"], run["embedded"]) == ("succeeded", 1)
    assert lacking(database, SECOND_MODEL) == []


@pytest.mark.parametrize("known", [False, True], ids=["a new text", "a text that had a vector"])
async def test_what_was_embedded_just_before_the_switch_is_embedded_again(
    runs: Runs,
    database: Database,
    second: Embedder,
    monkeypatch: pytest.MonkeyPatch,
    *,
    known: bool,
) -> None:
    runs.run({"ducks.md": DUCKS})
    if known:
        # Its vector is still there, of the old model alone.
        runs.run({"hens.md": HENS})
        runs.run({"hens.md": None})
    database.run_sync(begin_reindex, SECOND_MODEL)

    def find_then_switch(*args: Any) -> set[str]:
        found = find_embedded(*args)
        monkeypatch.undo()
        with ThreadPoolExecutor(1) as thread:
            thread.submit(_reindex_elsewhere, database.url, second).result()
        return found

    monkeypatch.setattr("app.knowledge.ingestions.steps.find_embedded", find_then_switch)
    run = runs.run({"hens.md": HENS})

    assert run["state"] == "succeeded"
    assert model_of(database) == SECOND_MODEL
    assert lacking(database, SECOND_MODEL) == []


def test_a_worker_without_the_model_says_what_to_do(
    runs: Runs, database: Database, settings: Settings
) -> None:
    runs.run({"ducks.md": DUCKS})
    execute(database.url, f"UPDATE index_model SET model = '{SECOND_MODEL}'")
    runs.write({"hens.md": HENS})
    run = runs.begin()
    runs.steps.list_source(run)
    steps = open_steps(settings, database.url)
    advice = f"Run `EMBEDDING_MODEL={SECOND_MODEL} make prepare`"

    with steps._access, steps._parser, pytest.raises(ModelNotReady, match=advice):
        steps.store_document(run, "hens.md")
    steps._database.close()


async def test_old_vectors_are_kept_for_a_day_and_then_removed(
    runs: Runs, database: Database, second: Embedder
) -> None:
    def models() -> set[str]:
        return {model for (model,) in fetch(database.url, "SELECT DISTINCT model FROM embedding")}

    def pruned() -> set[str]:
        runs.steps.schedule()
        if database.run_sync(lambda queries: queries.prune_is_queued()):
            execute(database.url, "DELETE FROM procrastinate_jobs")
            runs.steps.prune()
        return models()

    runs.run({"ducks.md": DUCKS})
    database.run_sync(begin_reindex, SECOND_MODEL)
    await reindex(database, second, unwatched)
    execute(database.url, "DELETE FROM procrastinate_jobs")
    runs.steps.prune()
    at_once = models()
    execute(database.url, "UPDATE index_model SET switched_at = now() - interval '23 hours'")
    the_same_day = pruned()
    execute(database.url, "UPDATE index_model SET switched_at = now() - interval '25 hours'")

    assert len(at_once) == len(the_same_day) == 2
    assert pruned() == {SECOND_MODEL}
    assert fetch(database.url, "SELECT switched_at FROM index_model") == [(None,)]


def _reindex_elsewhere(url: str, embedder: Embedder) -> None:
    """Do it as another process would, from a thread without an event loop."""
    database = Database(url, pool_size=2)
    try:
        asyncio.run(reindex_all(database, embedder))
    finally:
        database.close()
