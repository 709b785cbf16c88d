"""The graph computes BERT as published; a plain numpy encoder says what that is."""

from math import erf
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from app.knowledge.minilm_onnx import export_onnx, quantise
from tests.knowledge.tiny_model import (
    CONFIG,
    LAYER_NORM_EPS,
    Weights,
    random_weights,
    write_source,
)

Array = NDArray[Any]

IDS = np.array([[2, 17, 44, 9, 3, 31, 8], [2, 5, 3, 0, 0, 0, 0]], np.int64)
MASK = np.array([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0]], np.int64)
TYPES = np.array([[0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0]], np.int64)


@pytest.fixture(scope="module")
def weights() -> Weights:
    return random_weights()


@pytest.fixture(scope="module")
def model(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = write_source(tmp_path_factory.mktemp("bert") / "source", weights)
    export_onnx(source, source / "model.onnx")
    return source / "model.onnx"


def test_the_graph_computes_what_bert_computes(model: Path, weights: Weights) -> None:
    hidden = run(model, IDS, MASK, TYPES)
    expected = bert(weights, IDS, MASK, TYPES)
    assert hidden.shape == (2, 7, CONFIG["hidden_size"])
    np.testing.assert_allclose(hidden[MASK == 1], expected[MASK == 1], rtol=1e-4, atol=1e-5)


def test_padding_changes_no_token(model: Path) -> None:
    padded = run(model, IDS, MASK, TYPES)[1, :3]
    alone = run(model, IDS[1:, :3], MASK[1:, :3], TYPES[1:, :3])[0]
    np.testing.assert_allclose(padded, alone, rtol=1e-4, atol=1e-5)


def test_quantised_vectors_stay_close(model: Path, tmp_path: Path) -> None:
    quantise(model, tmp_path / "int8.onnx")
    exact = run(model, IDS, MASK, TYPES)[MASK == 1]
    rounded = run(tmp_path / "int8.onnx", IDS, MASK, TYPES)[MASK == 1]
    assert not np.array_equal(exact, rounded)
    assert cosines(exact, rounded).min() > 0.98


def test_matrices_are_stored_in_bytes_with_a_scale_per_column(model: Path, tmp_path: Path) -> None:
    quantise(model, tmp_path / "int8.onnx")
    stored = {weight.name: weight for weight in onnx.load(tmp_path / "int8.onnx").graph.initializer}
    name = "encoder.layer.0.intermediate.dense.weight.T"
    assert stored[f"{name}_quantized"].data_type == onnx.TensorProto.INT8
    assert list(stored[f"{name}_scale"].dims) == [CONFIG["intermediate_size"]]


def test_converting_prints_and_logs_nothing(
    model: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    export_onnx(model.parent, tmp_path / "fp32.onnx")
    quantise(tmp_path / "fp32.onnx", tmp_path / "int8.onnx")
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_onnxruntime_keeps_its_slow_residual_kernel_out(model: Path, tmp_path: Path) -> None:
    quantise(model, tmp_path / "int8.onnx")
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    ort.InferenceSession(tmp_path / "int8.onnx", options, providers=["CPUExecutionProvider"])
    operators = {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}
    assert "SkipLayerNormalization" not in operators
    assert "LayerNormalization" in operators


def run(model: Path, ids: Array, mask: Array, types: Array) -> Array:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    hidden: Array = session.run(["last_hidden_state"], feed)[0]
    return hidden


def cosines(a: Array, b: Array) -> Array:
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    result: Array = (a * b).sum(-1) / norms
    return result


def bert(weights: Weights, ids: Array, mask: Array, types: Array) -> Array:
    """Compute Devlin et al.'s encoder, in the words of Hugging Face's `BertModel`."""

    def linear(x: Array, name: str) -> Array:
        result: Array = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        return result

    def norm(x: Array, name: str) -> Array:
        spread = np.sqrt(x.var(-1, keepdims=True) + LAYER_NORM_EPS)
        result: Array = (x - x.mean(-1, keepdims=True)) / spread
        return result * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def heads(x: Array) -> Array:
        batch, length, width = x.shape
        count = CONFIG["num_attention_heads"]
        return x.reshape(batch, length, count, width // count).transpose(0, 2, 1, 3)

    x: Array = (
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.token_type_embeddings.weight"][types]
        + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
    )
    x = norm(x, "embeddings.LayerNorm")
    for layer in range(CONFIG["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        query, key, value = (
            heads(linear(x, f"{name}.attention.self.{part}")) for part in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(2, 3) / np.sqrt(query.shape[-1])
        scores = np.where(mask[:, None, None, :] == 1, scores, -np.inf)
        attention = np.exp(scores - scores.max(-1, keepdims=True))
        attention /= attention.sum(-1, keepdims=True)
        context = (attention @ value).transpose(0, 2, 1, 3).reshape(x.shape)
        context = linear(context, f"{name}.attention.output.dense")
        x = norm(context + x, f"{name}.attention.output.LayerNorm")
        inner = gelu(linear(x, f"{name}.intermediate.dense"))
        x = norm(linear(inner, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")
    return x


def gelu(x: Array) -> Array:
    """Hendrycks and Gimpel's (2016, arXiv:1606.08415), exact: x times the normal distribution."""
    result: Array = x * (1 + np.vectorize(erf)(x / np.sqrt(2))) / 2
    return result
