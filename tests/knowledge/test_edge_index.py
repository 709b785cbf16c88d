"""The embedded index's folder: slots, generations, and what is done with what can't be used."""

import asyncio
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from app.core.exceptions import IndexUnavailable, StartupError
from app.knowledge import edge_index
from app.knowledge.edge_generation import NOTE, EdgeGeneration
from app.knowledge.edge_index import EdgeIndex
from app.knowledge.vector_index import FORMAT, IndexFilter, IndexSpec, Position
from tests.knowledge.index_support import ENCODER, SPEC, ids_in, point, vector


async def open_index(root: Path, spec: IndexSpec = SPEC) -> EdgeIndex:
    return await EdgeIndex.open(root, spec, database_url="postgres://unused")


async def fill(root: Path, *texts: str) -> None:
    """Leave an index behind that holds these texts."""
    index = await open_index(root)
    await index.reset()
    await index.upsert([point(text) for text in texts])
    await index.remember(Position(7, 7))
    await index.aclose()


def saved_position(root: Path) -> list[int]:
    [note] = root.glob(f"*/*-*/{NOTE}")
    position: list[int] = json.loads(note.read_text())["position"]
    return position


def folders(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.glob("*/*-*"))


async def test_each_opener_has_a_slot_of_its_own(tmp_path: Path) -> None:
    indexes = [await open_index(tmp_path) for _ in range(3)]
    for index in indexes:
        await index.reset()
    assert [folder.split("/")[0] for folder in folders(tmp_path)] == ["0", "1", "2"]
    for index in indexes:
        await index.aclose()


async def test_a_slot_that_was_left_is_taken_again(tmp_path: Path) -> None:
    first, second = await open_index(tmp_path), await open_index(tmp_path)
    await first.aclose()
    third = await open_index(tmp_path)
    await third.reset()
    assert [folder.split("/")[0] for folder in folders(tmp_path)] == ["0"]
    await second.aclose()
    await third.aclose()


async def test_the_newest_complete_generation_is_used_and_the_others_are_removed(
    tmp_path: Path,
) -> None:
    await fill(tmp_path, "text")
    [complete] = folders(tmp_path)
    for unfinished in ("000000-aaaaaaaa", "000009-bbbbbbbb/segments"):
        (tmp_path / "0" / unfinished).mkdir(parents=True)
    index = await open_index(tmp_path)
    assert folders(tmp_path) == [complete]
    assert ids_in(index) == {point("text").chunk_id}
    await index.aclose()


@pytest.mark.parametrize(
    "spec",
    [
        IndexSpec(SPEC.database, "another-model", SPEC.dimensions),
        IndexSpec(SPEC.database, SPEC.model, SPEC.dimensions + 1),
        IndexSpec("another-database/1", SPEC.model, SPEC.dimensions),
    ],
)
async def test_an_index_that_was_built_from_something_else_is_thrown_away(
    tmp_path: Path, spec: IndexSpec
) -> None:
    await fill(tmp_path, "text")
    index = await open_index(tmp_path, spec)
    assert await index.position() is None
    assert folders(tmp_path) == []
    await index.aclose()


async def test_an_index_of_an_older_format_is_thrown_away(tmp_path: Path) -> None:
    await fill(tmp_path, "text")
    note = tmp_path / folders(tmp_path)[0] / NOTE
    note.write_text(note.read_text().replace(f'"format": {FORMAT}', '"format": 1'))
    index = await open_index(tmp_path)
    assert await index.position() is None
    await index.aclose()


async def test_a_position_is_written_down_after_an_hour_at_the_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(tmp_path, "text")
    index = await open_index(tmp_path)
    await index.remember(Position(8, 8))
    before = saved_position(tmp_path)
    monkeypatch.setattr(edge_index, "SAVE_AFTER_SEC", 0)
    await index.remember(Position(9, 9))
    assert (before, saved_position(tmp_path)) == ([7, 7], [9, 9])
    await index.aclose()


async def test_reset_leaves_one_generation(tmp_path: Path) -> None:
    await fill(tmp_path, "text")
    index = await open_index(tmp_path)
    [before] = folders(tmp_path)
    await index.reset()
    [after] = folders(tmp_path)
    assert after > before
    await index.aclose()


async def test_a_folder_that_cannot_be_used_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupError, match="VAR_DIR"):
        await open_index(tmp_path / "file")


async def test_a_vector_of_the_wrong_size_is_the_callers_mistake(tmp_path: Path) -> None:
    await fill(tmp_path, "text")
    index = await open_index(tmp_path)
    with pytest.raises(ValueError, match="dimensions"):
        await index.search([1.0], ENCODER.encode_query("text"), limit=1)
    assert (await index.search(vector("text"), ENCODER.encode_query("text"), limit=1)).dense
    await index.aclose()


async def test_nothing_is_written_to_a_disk_that_is_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(tmp_path, "text")
    index = await open_index(tmp_path)
    monkeypatch.setattr(edge_index, "MIN_FREE_BYTES", 2**62)
    with pytest.raises(IndexUnavailable, match="disk"):
        await index.upsert([point("more")])
    assert (await index.search(vector("text"), ENCODER.encode_query("text"), limit=1)).dense
    await index.aclose()


async def test_writing_lets_others_run_in_between(tmp_path: Path) -> None:
    index = await open_index(tmp_path)
    await index.reset()
    await index.remember(Position(1, 0))
    searches = 0

    async def search_all_the_time() -> None:
        nonlocal searches
        while True:
            await index.search(vector("x"), ENCODER.encode_query("x"), limit=1)
            searches += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(search_all_the_time())
    await index.upsert([point(f"text {n}") for n in range(512)])
    task.cancel()
    assert searches >= 512 / edge_index.SLICE
    await index.aclose()


def test_a_filtered_search_finds_the_nearest_even_where_a_graph_would_miss_them(
    tmp_path: Path,
) -> None:
    # Edge builds a graph from 10 MB of vectors on.
    spec = dataclasses.replace(SPEC, dimensions=2048)
    vectors = np.random.default_rng(1).standard_normal((1_600, spec.dimensions)).astype("<f4")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    points = [
        point(str(n), dense.tolist(), path="this" if n % 8 else "other")
        for n, dense in enumerate(vectors)
    ]
    generation = EdgeGeneration.create(tmp_path / "generation", spec)
    generation.upsert(points)
    generation.optimise()

    where = IndexFilter(path_prefixes=("this",))
    legs = generation.search(points[0].dense, None, limit=50, where=where)
    generation.close()

    cosines = vectors @ vectors[0]
    fitting = [n for n in range(len(points)) if n % 8]
    nearest = sorted(fitting, key=lambda n: -cosines[n])[:50]
    assert [hit.chunk_id for hit in legs.dense] == [points[n].chunk_id for n in nearest]
