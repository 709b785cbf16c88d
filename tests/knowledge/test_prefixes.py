"""Queries and passages get the words that a model was trained with."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from fastembed import TextEmbedding

from app.knowledge.embedding import Embedder
from app.knowledge.model_files import DEFAULT_MODEL
from app.knowledge.prefixes import Prefixes, prefixes_of
from tests.knowledge.tiny_model import word_vectors
from tests.knowledge.tiny_reranker import reranker_files

# One of fastembed's names that takes the mean over the words.
PREFIXED = "nomic-ai/nomic-embed-text-v1.5"
DIMENSIONS = 768
TEXT = "vectors reach the index"


def models_that_need_prefixes() -> list[str]:
    """Those that fastembed's own list tells about."""
    return [
        entry["model"]
        for entry in TextEmbedding.list_supported_models()
        if "Prefixes for queries/documents:" in entry["description"]
        and "Prefixes for queries/documents: not necessary" not in entry["description"]
    ]


@pytest.mark.parametrize("model", models_that_need_prefixes())
def test_every_model_that_needs_prefixes_has_them(model: str) -> None:
    assert prefixes_of(model).query


def test_the_default_model_has_none() -> None:
    assert prefixes_of(DEFAULT_MODEL) == Prefixes("", "")


def test_names_do_not_depend_on_case() -> None:
    assert prefixes_of("INTFLOAT/Multilingual-E5-Large") == Prefixes("query: ", "passage: ")


class TestAnEmbedder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name, content in reranker_files().items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
        onnx.save(word_vectors(DIMENSIONS), tmp_path / "onnx" / "model.onnx")
        return tmp_path

    @pytest.fixture
    def embedder(self, folder: Path) -> Embedder:
        return Embedder.load(PREFIXED, folder)

    @pytest.fixture
    def model(self, folder: Path) -> TextEmbedding:
        return TextEmbedding(PREFIXED, cache_dir=str(folder), specific_model_path=str(folder))

    async def test_puts_one_before_a_query(self, embedder: Embedder, model: TextEmbedding) -> None:
        [expected] = model.embed([f"search_query: {TEXT}"])
        expected /= np.linalg.norm(expected)
        np.testing.assert_allclose(await embedder.embed_query(TEXT), expected, atol=1e-6)

    def test_puts_another_before_a_passage(self, embedder: Embedder, model: TextEmbedding) -> None:
        [expected] = model.embed([f"search_document: {TEXT}"])
        expected /= np.linalg.norm(expected)
        np.testing.assert_allclose(embedder.embed([TEXT])[0], expected, atol=1e-6)

    def test_reads_a_passage_up_to_the_limit_that_its_count_tells(self, embedder: Embedder) -> None:
        room = embedder.max_tokens - embedder.count_tokens([""])[0]
        full = " ".join(["apple"] * room)
        earlier = " ".join(["apple"] * (room - 1) + ["engine"])
        assert embedder.count_tokens([full, earlier]) == [embedder.max_tokens] * 2
        vectors = embedder.embed([full, earlier, f"{full} engine"])
        assert not np.array_equal(vectors[0], vectors[1])
        np.testing.assert_array_equal(vectors[0], vectors[2])
