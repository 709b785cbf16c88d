"""Tokens are counted as fastembed's models see them, without fastembed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastembed.common.preprocessor_utils import load_tokenizer
from fastembed.text.static_embedding import load_static_tokenizer

from app.core.exceptions import StartupError
from app.knowledge.model_files import DEFAULT_MODEL, require_model
from app.knowledge.tokens import TokenCounter
from settings import ROOT
from tests.conftest import MODELS_DIR

TEXTS = [
    "",
    "hello world",
    "SHOUTED WORDS and dGhpcyBpcyBiYXNlNjQgYW5kIG5vdGhpbmcgZWxzZQ==",
    "Umlaute äöü, 漢字の文章, 🙂 and\ttabs\n\n",
    "[CLS] [MASK] <special> [unused7]",
]
ONE_TOKEN = "apple "


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The default model's files, to be changed."""
    return shutil.copytree(require_model(DEFAULT_MODEL, MODELS_DIR), tmp_path / "model")


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


def test_counts_include_the_special_tokens_and_know_no_limit(folder: Path) -> None:
    counter = TokenCounter.load(DEFAULT_MODEL, folder)
    assert counter.max_tokens == 256
    assert counter.count([]) == []
    assert counter.count(["", "hello", "hello world", ONE_TOKEN * 1000]) == [2, 3, 4, 1002]


@pytest.mark.parametrize(
    "config",
    [
        {"model_max_length": 300},
        {"model_max_length": 300, "max_length": 200},
        {"model_max_length": 10**30, "max_length": 200},
        {"model_max_length": None, "max_length": 200},
    ],
)
def test_the_limit_is_where_fastembed_truncates(folder: Path, config: dict[str, Any]) -> None:
    write(folder / "tokenizer_config.json", config)
    tokenizer, _ = load_tokenizer(folder)
    assert TokenCounter.load(DEFAULT_MODEL, folder).max_tokens == len(
        tokenizer.encode(ONE_TOKEN * 1000)
    )


@pytest.mark.parametrize(
    "special_tokens",
    [
        {},
        {"mask_token": "[MASK]", "additional_special_tokens": ["<special>"]},
        {"mask_token": {"content": "[unused7]", "lstrip": True, "normalized": False}},
    ],
)
def test_counts_are_those_of_fastembeds_own_tokenizer(
    folder: Path, special_tokens: dict[str, Any]
) -> None:
    write(folder / "special_tokens_map.json", special_tokens)
    tokenizer, _ = load_tokenizer(folder)
    expected = [len(tokenizer.encode(text)) for text in TEXTS]
    assert TokenCounter.load(DEFAULT_MODEL, folder).count(TEXTS) == expected


def test_static_models_have_a_fixed_limit_and_no_special_tokens(folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "model.safetensors")
    counter = TokenCounter.load("minishlab/potion-base-8M", folder)
    tokenizer, _ = load_static_tokenizer(folder)
    assert counter.max_tokens == len(tokenizer.encode(ONE_TOKEN * 1000, add_special_tokens=False))
    assert counter.count(TEXTS) == [
        len(tokenizer.encode(text, add_special_tokens=False)) for text in TEXTS
    ]


def test_the_prefix_of_a_passage_is_counted(folder: Path) -> None:
    plain = TokenCounter.load(DEFAULT_MODEL, folder)
    prefixed = TokenCounter.load("nomic-ai/nomic-embed-text-v1.5", folder)
    assert prefixed.count(TEXTS) == plain.count([f"search_document: {text}" for text in TEXTS])


def test_neither_a_model_nor_fastembed_is_loaded(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"not a graph")
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from app.knowledge.tokens import TokenCounter\n"
        f"counts = TokenCounter.load({DEFAULT_MODEL!r}, Path({str(folder)!r})).count(['hello'])\n"
        "print(counts, sorted({'fastembed', 'onnxruntime'} & sys.modules.keys()))\n"
    )
    result = subprocess.run(
        [sys.executable, "-B", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stdout == "[3] []\n"


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [None, b"{", b"{}"], ids=["missing", "torn", "empty"])
def test_a_folder_without_a_whole_tokenizer_is_named(
    folder: Path, name: str, content: bytes | None
) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(StartupError, match=f"cannot be loaded from {folder}.*make prepare"):
        TokenCounter.load(DEFAULT_MODEL, folder)
