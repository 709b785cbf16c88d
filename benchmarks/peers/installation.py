"""What the peers need and bRAG does not, kept beside this file from one run to the next."""

import asyncio
import shutil
import sys
from pathlib import Path

from app.knowledge.minilm_onnx import export_onnx
from app.knowledge.model_sources import MINILM, fetch_checkpoint

__all__ = ["HERE", "fp32_model", "install", "output_of"]

HERE = Path(__file__).parent
VENV = HERE / ".venv"
REQUIREMENTS = HERE / "requirements.txt"


async def install() -> Path:
    """Return a Python that has the packages of `requirements.txt`."""
    python = VENV / "bin" / "python"
    installed = VENV / "installed.txt"
    if not installed.exists() or installed.read_text() != REQUIREMENTS.read_text():
        print("installing the peers' packages ...", flush=True)
        await output_of(sys.executable, "-m", "venv", "--clear", str(VENV))
        await output_of(str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS))
        shutil.copyfile(REQUIREMENTS, installed)
    return python


def fp32_model(prepared: Path) -> Path:
    """Return a folder with the model that `prepared` holds in int8 as its authors published it."""
    folder = VENV / "fp32"
    if not (folder / "model.onnx").exists():
        shutil.rmtree(folder, ignore_errors=True)
        download, scratch = folder / "download", folder / "scratch"
        for path in (download, scratch):
            path.mkdir(parents=True)
        with (folder / "lock").open("w") as lock:
            source = fetch_checkpoint(MINILM, download, scratch, lock.fileno())
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(prepared / name, folder / name)
        export_onnx(source, folder / "draft.onnx")
        (folder / "draft.onnx").rename(folder / "model.onnx")
        shutil.rmtree(download)
        shutil.rmtree(scratch)
    return folder


async def output_of(*command: str) -> bytes:
    """Run a program to its end; return what it printed."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0, command
    return output
