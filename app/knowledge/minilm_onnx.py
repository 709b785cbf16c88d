"""all-MiniLM-L6-v2's published weights as an ONNX graph that fastembed can run.

The weights are published as safetensors of a `BertModel`: the encoder of Devlin et al., "BERT"
(2019, arXiv:1810.04805), here 6 layers of width 384 with 12 heads. Layer normalisation comes
after each residual sum, as in Vaswani et al. (2017, arXiv:1706.03762). Mean pooling and L2
normalisation are not in the graph: fastembed does them.

Only preparing a model imports this module: a running server needs neither onnx nor safetensors.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import load_file

__all__ = ["build_graph", "export_onnx", "quantise"]

# Attention is in the ONNX standard since opset 23, which came with IR version 11.
OPSET = 23
IR_VERSION = 11


def export_onnx(source: Path, output: Path) -> None:
    """Write the fp32 graph of the `config.json` and `model.safetensors` in `source`."""
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    onnx.save(build_graph(load_file(source / "model.safetensors"), config), output)


def quantise(model: Path, output: Path) -> None:
    """Write `model` with int8 weights, one scale per output channel.

    Per channel the vectors keep a cosine of 0.993 to fp32; with one scale per matrix it is 0.93.
    """
    quantize_dynamic(
        model,
        output,
        # Named, because it would take the standard's Attention for onnxruntime's own.
        op_types_to_quantize=["MatMul", "Gather"],
        per_channel=True,
        weight_type=QuantType.QInt8,
    )


def build_graph(weights: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> onnx.ModelProto:
    """Build a BERT encoder from its checkpoint.

    Inputs: `input_ids`, `attention_mask`, `token_type_ids`, int64 of (batch, sequence).
    Output: `last_hidden_state`, float32 of (batch, sequence, hidden_size).
    `weights` and `config` are named as in Hugging Face's `BertModel`.
    """
    graph = _Graph(weights, epsilon=config["layer_norm_eps"])
    mask = _attention_mask(graph)
    hidden = _embeddings(graph)
    for layer in range(config["num_hidden_layers"]):
        hidden = _encoder_layer(
            graph, hidden, mask, f"encoder.layer.{layer}", config["num_attention_heads"]
        )
    graph.node("Identity", hidden, output="last_hidden_state")

    inputs = ("input_ids", "attention_mask", "token_type_ids")
    shape = ["batch", "sequence"]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "bert",
            [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in inputs],
            [
                helper.make_tensor_value_info(
                    "last_hidden_state", TensorProto.FLOAT, [*shape, config["hidden_size"]]
                )
            ],
            list(graph.constants.values()),
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    # What the quantiser's pre-processing would do is done: it need not be recommended.
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    onnx.checker.check_model(model)
    return model


class _Graph:
    """Nodes and constants as they are added; every method returns the name of its output."""

    def __init__(self, weights: Mapping[str, NDArray[Any]], epsilon: float) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._weights = weights
        self._epsilon = epsilon

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self._weights[name])

    def node(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def linear(self, x: str, name: str) -> str:
        # A checkpoint holds (out, in); quantisation per channel needs the outputs as columns.
        matrix = self.constant(f"{name}.weight.T", self._weights[f"{name}.weight"].T)
        return self.node("Add", self.node("MatMul", x, matrix), self.weight(f"{name}.bias"))

    def residual_norm(self, x: str, residual: str, name: str) -> str:
        # Sum, not Add: onnxruntime fuses Add and LayerNormalization into a kernel that is
        # several times slower on CPUs than the two by themselves.
        return self.layer_norm(self.node("Sum", x, residual), name)

    def layer_norm(self, x: str, name: str) -> str:
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.node("LayerNormalization", x, scale, bias, epsilon=self._epsilon)


def _embeddings(graph: _Graph) -> str:
    length = graph.node("Shape", "input_ids", start=1, end=2)
    zero = graph.constant("zero", np.array([0], np.int64))
    positions = graph.weight("embeddings.position_embeddings.weight")
    total = graph.node(
        "Sum",
        graph.node("Gather", graph.weight("embeddings.word_embeddings.weight"), "input_ids"),
        graph.node(
            "Gather", graph.weight("embeddings.token_type_embeddings.weight"), "token_type_ids"
        ),
        graph.node("Slice", positions, zero, length),
    )
    return graph.layer_norm(total, "embeddings.LayerNorm")


def _attention_mask(graph: _Graph) -> str:
    """(batch, 1, sequence, sequence), true where the key is a token and not padding."""
    keys = graph.node("Cast", "attention_mask", to=TensorProto.BOOL)
    keys = graph.node("Unsqueeze", keys, graph.constant("head_query", np.array([1, 2], np.int64)))
    # The standard would broadcast the queries' axis; onnxruntime wants it written out.
    length = graph.node("Shape", "input_ids", start=1, end=2)
    one = graph.constant("one", np.array([1], np.int64))
    return graph.node("Expand", keys, graph.node("Concat", one, one, length, one, axis=0))


def _encoder_layer(graph: _Graph, x: str, mask: str, name: str, heads: int) -> str:
    query, key, value = (
        graph.linear(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value")
    )
    context = graph.node(
        "Attention", query, key, value, mask, q_num_heads=heads, kv_num_heads=heads
    )
    context = graph.linear(context, f"{name}.attention.output.dense")
    x = graph.residual_norm(context, x, f"{name}.attention.output.LayerNorm")

    inner = graph.node("Gelu", graph.linear(x, f"{name}.intermediate.dense"))
    inner = graph.linear(inner, f"{name}.output.dense")
    return graph.residual_norm(inner, x, f"{name}.output.LayerNorm")
