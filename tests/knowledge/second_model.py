"""A second embedding model: small, quick, and of other dimensions than the default one.

It has the default model's words, a random vector for each, and takes a text for the mean of them.
"""

import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from app.knowledge import model_files
from app.knowledge.model_files import DEFAULT_MODEL, require_model
from tests.conftest import MODELS_DIR

__all__ = ["SECOND_DIMENSIONS", "SECOND_MODEL", "models_with_second"]

# One of fastembed's names, which takes the mean over the words.
SECOND_MODEL = "jinaai/jina-embeddings-v2-small-en"
SECOND_DIMENSIONS = 512
VECTORS = 1021


def models_with_second(folder: Path) -> Path:
    """Fill a folder with both models, as prepared ones."""
    folder.mkdir()
    default = require_model(DEFAULT_MODEL, MODELS_DIR)
    (folder / default.name).symlink_to(default)
    second = model_files._folder(SECOND_MODEL, folder)
    (second / "onnx").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(default / name, second / name)
    onnx.save(_graph(), second / "onnx" / "model.onnx")
    model_files._seal(second, SECOND_MODEL)
    return folder


def _graph() -> onnx.ModelProto:
    vectors = np.random.default_rng(0).normal(size=(VECTORS, SECOND_DIMENSIONS))
    constants = [
        numpy_helper.from_array(vectors.astype(np.float32), "vectors"),
        numpy_helper.from_array(np.array(VECTORS, dtype=np.int64), "count"),
    ]
    shape = ["batch", "sequence"]
    inputs = ("input_ids", "attention_mask")
    return helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Mod", ["input_ids", "count"], ["rows"]),
                helper.make_node("Gather", ["vectors", "rows"], ["last_hidden_state"]),
            ],
            "words",
            [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in inputs],
            [
                helper.make_tensor_value_info(
                    "last_hidden_state", TensorProto.FLOAT, [*shape, SECOND_DIMENSIONS]
                )
            ],
            constants,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
