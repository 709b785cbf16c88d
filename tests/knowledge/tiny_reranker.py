"""A prepared reranking model that counts shared words, for tests of reranking."""

from pathlib import Path

from app.knowledge import model_files
from app.knowledge.model_files import DEFAULT_MODEL, require_model
from tests.conftest import MODELS_DIR
from tests.knowledge.tiny_model import shared_words

__all__ = ["RERANKER", "RERANKER_MAX_TOKENS", "models_with_reranker", "reranker_files"]

# One of fastembed's names.
RERANKER = "Xenova/ms-marco-MiniLM-L-6-v2"
RERANKER_MAX_TOKENS = 256


def reranker_files() -> dict[str, bytes]:
    """The files of the model's repository; its words are the default embedding model's."""
    default = require_model(DEFAULT_MODEL, MODELS_DIR)
    names = ("config.json", "tokenizer.json", "tokenizer_config.json")
    files = {name: (default / name).read_bytes() for name in names}
    return files | {"onnx/model.onnx": shared_words().SerializeToString()}


def models_with_reranker(folder: Path) -> Path:
    """Fill a folder with the default embedding model and the reranking model, as prepared ones."""
    folder.mkdir()
    default = require_model(DEFAULT_MODEL, MODELS_DIR)
    (folder / default.name).symlink_to(default)
    reranker = model_files._folder(RERANKER, folder)
    for name, content in reranker_files().items():
        (reranker / name).parent.mkdir(parents=True, exist_ok=True)
        (reranker / name).write_bytes(content)
    model_files._seal(reranker, RERANKER)
    return folder
