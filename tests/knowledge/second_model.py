"""A second embedding model: small, quick, and of other dimensions than the default one.

It has the default model's words, a random vector for each, and takes a text for the mean of them.
"""

import shutil
from pathlib import Path

import onnx

from app.knowledge import model_files
from app.knowledge.model_files import DEFAULT_MODEL, require_model
from tests.conftest import MODELS_DIR
from tests.knowledge.tiny_model import word_vectors

__all__ = ["SECOND_DIMENSIONS", "SECOND_MODEL", "models_with_second"]

# One of fastembed's names, which takes the mean over the words.
SECOND_MODEL = "jinaai/jina-embeddings-v2-small-en"
SECOND_DIMENSIONS = 512


def models_with_second(folder: Path) -> Path:
    """Fill a folder with both models, as prepared ones."""
    folder.mkdir()
    default = require_model(DEFAULT_MODEL, MODELS_DIR)
    (folder / default.name).symlink_to(default)
    second = model_files._folder(SECOND_MODEL, folder)
    (second / "onnx").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(default / name, second / name)
    onnx.save(word_vectors(SECOND_DIMENSIONS), second / "onnx" / "model.onnx")
    model_files._seal(second, SECOND_MODEL)
    return folder
