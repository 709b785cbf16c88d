"""Reranking with a real cross-encoder of a few kilobytes, which counts shared words."""

import asyncio
import random
import socket
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from app.core.exceptions import StartupError
from app.knowledge.model_files import DEFAULT_MODEL, require_model
from app.knowledge.model_sources import RERANKING
from app.knowledge.reranking import Reranker
from app.resources.reranker import load_reranker
from settings import Settings
from tests.knowledge.tiny_reranker import RERANKER, RERANKER_MAX_TOKENS, models_with_reranker

QUERY = "how do vectors reach the index"
ANSWER = "vectors reach the index through the outbox"
HALF = "the index is rebuilt"
OTHER = "bananas are yellow"


@pytest.fixture
def var_dir(tmp_path: Path) -> Path:
    """Where both models are prepared."""
    models_with_reranker(tmp_path / "models")
    return tmp_path


@pytest.fixture
def model_dir(var_dir: Path) -> Path:
    return require_model(RERANKER, var_dir / "models", kind=RERANKING)


@pytest.fixture
def reranker(model_dir: Path) -> Reranker:
    return Reranker.load(RERANKER, model_dir)


async def test_scores_are_the_models_own_in_the_order_of_the_texts(reranker: Reranker) -> None:
    # Pairs of equal words, "the" twice in the answer, and the two separators.
    assert await reranker.rerank(QUERY, [OTHER, ANSWER, HALF]) == [1.0, 6.0, 3.0]


async def test_no_texts_have_no_scores(reranker: Reranker) -> None:
    assert await reranker.rerank(QUERY, []) == []


async def test_a_score_depends_on_its_text_alone(reranker: Reranker) -> None:
    texts = [ANSWER, "", OTHER * 50, "漢字 and 🙂", HALF] * 6
    together = await reranker.rerank(QUERY, texts)
    shuffled = random.Random(0).sample(range(len(texts)), len(texts))
    assert await reranker.rerank(QUERY, [texts[i] for i in shuffled]) == [
        together[i] for i in shuffled
    ]
    assert [(await reranker.rerank(QUERY, [text]))[0] for text in texts] == together


async def test_queries_at_once_each_get_their_own_scores(reranker: Reranker) -> None:
    words = [f"word{n}" for n in range(20)]
    texts = [f"about {word} and nothing else" for word in words]
    alone = [await reranker.rerank(word, texts) for word in words]
    assert await asyncio.gather(*(reranker.rerank(word, texts) for word in words)) == alone
    assert all(max(scores) == scores[n] for n, scores in enumerate(alone))


async def test_a_text_is_read_up_to_the_limit_and_no_further(reranker: Reranker) -> None:
    # The query is one token, and three are special.
    room = RERANKER_MAX_TOKENS - 4
    last = " ".join(["banana"] * (room - 1) + ["vector"])
    beyond = " ".join(["banana"] * room + ["vector"])
    assert await reranker.rerank("vector", [last, beyond]) == [2.0, 1.0]


async def test_a_query_longer_than_the_limit_is_cut(reranker: Reranker) -> None:
    [score] = await reranker.rerank("vector " * 100_000, ["a vector"])
    assert score > 1


async def test_whoever_is_cancelled_stops_and_the_event_loop_goes_on_meanwhile(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reranker = Reranker.load(RERANKER, model_dir, threads=1)
    rerank, begun = reranker._model.rerank, asyncio.Event()
    texts_read: list[str] = []
    loop, may_go_on = asyncio.get_running_loop(), threading.Event()

    def wait_and_rerank(query: str, texts: list[str]) -> Iterable[float]:
        texts_read.extend(texts)
        loop.call_soon_threadsafe(begun.set)
        may_go_on.wait()
        return rerank(query, texts)

    monkeypatch.setattr(reranker._model, "rerank", wait_and_rerank)
    task = asyncio.create_task(reranker.rerank(QUERY, [ANSWER] * 30))
    await begun.wait()
    task.cancel()
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await reranker.rerank(QUERY, [HALF]) == [3.0]
    assert texts_read == [ANSWER, HALF]


def test_loading_needs_no_network_and_leaves_nothing_behind(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        pytest.fail("the network was used")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    before = sorted(model_dir.rglob("*"))

    assert Reranker.load(RERANKER, model_dir).model_name == RERANKER
    assert sorted(model_dir.rglob("*")) == before
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("missing", ["onnx/model.onnx", "tokenizer.json", "tokenizer_config.json"])
def test_a_folder_that_lacks_a_file_is_named(model_dir: Path, missing: str) -> None:
    (model_dir / missing).unlink()
    with pytest.raises(StartupError, match=f"cannot be loaded from {model_dir}.*make prepare"):
        Reranker.load(RERANKER, model_dir)


class TestTheSetting:
    def test_there_is_no_reranker_by_default(self, var_dir: Path) -> None:
        assert load_reranker(Settings(var_dir=var_dir)) is None

    async def test_it_names_a_prepared_model(self, var_dir: Path) -> None:
        reranker = load_reranker(Settings(var_dir=var_dir, reranker_model=RERANKER))
        assert reranker is not None
        assert await reranker.rerank("vector", ["a vector"]) == [2.0]

    def test_a_model_that_is_not_prepared_is_asked_for(self, var_dir: Path) -> None:
        settings = Settings(var_dir=var_dir, reranker_model="BAAI/bge-reranker-base")
        with pytest.raises(
            StartupError,
            match=(
                r"reranking model BAAI/bge-reranker-base is not prepared"
                r".*Run `RERANKER_MODEL=BAAI/bge-reranker-base make prepare`"
            ),
        ):
            load_reranker(settings)

    def test_a_damaged_model_is_found(self, var_dir: Path, model_dir: Path) -> None:
        (model_dir / "onnx" / "model.onnx").write_bytes(b"not a graph")
        with pytest.raises(StartupError, match=r"model\.onnx is damaged.*make prepare"):
            load_reranker(Settings(var_dir=var_dir, reranker_model=RERANKER))

    def test_an_embedding_model_is_no_reranker(self, var_dir: Path) -> None:
        with pytest.raises(StartupError, match=r"no reranking model named .* set RERANKER_MODEL"):
            load_reranker(Settings(var_dir=var_dir, reranker_model=DEFAULT_MODEL))
