"""The embedder with the real default model."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.exceptions import StartupError
from app.knowledge.embedding import Embedder
from app.knowledge.model_files import DEFAULT_MODEL, prepare_model
from settings import ROOT, load_settings

SENTENCES = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
# As sentence-transformers' documentation prints them for this model, in fp32.
PUBLISHED_SIMILARITIES = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]

SHORT_AND_LONG = [
    "word " * 200,
    "short",
    "",
    "Ein Satz mit Umlauten: äöü, 漢字 and 🙂.",
    "word " * 300,
    "short",
]


@pytest.fixture(scope="session")
def model_dir() -> Path:
    """The default model, where `make test` has prepared it beforehand."""
    return prepare_model(DEFAULT_MODEL, load_settings().models_dir)


def test_it_knows_its_name_width_and_limit(embedder: Embedder) -> None:
    assert embedder.model_name == "sentence-transformers/all-MiniLM-L6-v2"
    assert embedder.dimensions == 384
    assert embedder.max_tokens == 256


def test_similarities_are_those_that_are_published_for_the_model(embedder: Embedder) -> None:
    vectors = embedder.embed(SENTENCES)
    np.testing.assert_allclose(vectors @ vectors.T, PUBLISHED_SIMILARITIES, atol=0.03)


def test_vectors_are_unit_float32_rows_in_the_order_of_the_texts(embedder: Embedder) -> None:
    vectors = embedder.embed(SHORT_AND_LONG)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(SHORT_AND_LONG), 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    for text, vector in zip(SHORT_AND_LONG, vectors, strict=True):
        np.testing.assert_array_equal(vector, embedder.embed([text])[0])


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, 384)
    assert embedder.count_tokens([]) == []


def test_a_text_is_read_up_to_the_limit_and_no_further(embedder: Embedder) -> None:
    # One token each, and two special ones.
    words = ["apple"] * (embedder.max_tokens - 2)
    full = " ".join(words)
    earlier = " ".join([*words[:-1], "engine"])
    beyond = f"{full} engine engine engine"
    assert embedder.count_tokens([full]) == [embedder.max_tokens]
    vectors = embedder.embed([full, earlier, beyond])
    assert not np.array_equal(vectors[0], vectors[1])
    np.testing.assert_array_equal(vectors[0], vectors[2])


def test_tokens_are_counted_with_the_special_ones_and_without_a_limit(embedder: Embedder) -> None:
    assert embedder.count_tokens(["", "hello", "hello world", "word " * 1000]) == [2, 3, 4, 1002]


def test_several_threads_may_embed_at_once(embedder: Embedder) -> None:
    expected = embedder.embed(SHORT_AND_LONG)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(embedder.embed, [SHORT_AND_LONG] * 8):
            np.testing.assert_array_equal(vectors, expected)


async def test_a_query_has_the_vector_of_the_same_passage(embedder: Embedder) -> None:
    vector = await embedder.embed_query(SENTENCES[0])
    assert vector.shape == (384,)
    np.testing.assert_allclose(vector, embedder.embed(SENTENCES[:1])[0], atol=1e-6)


async def test_many_queries_at_once_each_get_their_own_vector(embedder: Embedder) -> None:
    queries = [f"question {n}" for n in range(30)]
    vectors = await asyncio.gather(*(embedder.embed_query(query) for query in queries))
    np.testing.assert_allclose(np.array(vectors), embedder.embed(queries), atol=1e-6)


async def test_the_event_loop_goes_on_while_a_query_is_embedded(embedder: Embedder) -> None:
    task = asyncio.create_task(embedder.embed_query("word " * 250))
    await asyncio.sleep(0)
    assert not task.done()
    assert (await task).shape == (384,)


def test_loading_needs_no_network_and_leaves_nothing_behind(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        pytest.fail("the network was used")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = sorted(model_dir.rglob("*"))
    assert Embedder.load(DEFAULT_MODEL, model_dir, threads=1).embed(["text"]).shape == (1, 384)
    assert sorted(model_dir.rglob("*")) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["model.onnx", "tokenizer.json", "tokenizer_config.json"])
def test_a_folder_that_lacks_a_file_is_named(model_dir: Path, tmp_path: Path, missing: str) -> None:
    folder = shutil.copytree(model_dir, tmp_path / "model")
    (folder / missing).unlink()
    with pytest.raises(StartupError, match=f"cannot be loaded from {folder}.*make prepare"):
        Embedder.load(DEFAULT_MODEL, folder)


def test_a_model_that_is_no_model_is_named(model_dir: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_dir, tmp_path / "model")
    (folder / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(StartupError, match=f"cannot be loaded from {folder}"):
        Embedder.load(DEFAULT_MODEL, folder)


def test_the_engine_below_tells_its_maker_nothing(model_dir: Path, tmp_path: Path) -> None:
    """It would keep an id of this machine in the home folder, and what is still to be sent."""
    program = (
        "from pathlib import Path; from app.knowledge.embedding import Embedder;"
        f"Embedder.load({DEFAULT_MODEL!r}, Path({str(model_dir)!r})).embed(['a text'])"
    )
    own = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}

    subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=own | {"HOME": str(tmp_path)}, check=True
    )

    assert not list(tmp_path.rglob("*"))
