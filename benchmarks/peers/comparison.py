"""bRAG's ingestion of a folder against docs-rag's pipeline, one after the other."""

import asyncio
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from app.knowledge.chunking import MAX_CHARACTERS
from app.knowledge.model_files import require_model
from benchmarks.environment import Environment
from benchmarks.knowledge import write_folder
from benchmarks.peers.installation import HERE, fp32_model, install, output_of
from benchmarks.result import Result
from benchmarks.runs import begin, end_of, seconds_of, serving

__all__ = ["peers"]

FILES = 165
DOCS_RAG_CHARACTERS = 3_000


@dataclass(frozen=True)
class _Ingested:
    documents: int
    chunks: int
    seconds: float

    @property
    def rate(self) -> float:
        """Documents a second."""
        return self.documents / self.seconds

    def __str__(self) -> str:
        return f"{self.rate:.1f}/s in {self.chunks:,} chunks"


async def peers(environment: Environment) -> list[Result]:
    """Compare on the Markdown files of the folder `BENCH_FOLDER`, or on made-up ones.

    Once with the very same model file, and once with the file that a user of fastembed gets by
    this model's name: fp32, where bRAG has made int8 of it.
    """
    python = await install()
    folder = environment.folder / "documents"
    _collect(folder)
    settings = environment.settings
    int8 = require_model(settings.embedding_model, settings.models_dir)
    fp32 = await asyncio.to_thread(fp32_model, int8)
    same = await _docs_rag(environment, python, int8, MAX_CHARACTERS)
    ours = await _brag(environment, folder)
    published = await _docs_rag(environment, python, fp32, MAX_CHARACTERS)
    own = await _docs_rag(environment, python, fp32, DOCS_RAG_CHARACTERS)
    assert ours.documents == same.documents, (ours, same)
    return [
        Result(
            "bRAG's ingestion / docs-rag's pipeline with bRAG's int8 model, documents/s",
            ours.rate / same.rate,
            at_least=2.5,
            parts=f"{ours.documents} documents: {ours} / {same}",
        ),
        Result(
            "bRAG's ingestion / docs-rag's pipeline with the model as published, documents/s",
            ours.rate / published.rate,
            at_least=2.5,
            parts=f"{ours} / {published}; {own} of {DOCS_RAG_CHARACTERS:,} characters, "
            "as docs-rag has them",
        ),
    ]


def _collect(folder: Path) -> None:
    """Put the documents where both find the same."""
    named = os.environ.get("BENCH_FOLDER")
    if named is None:
        write_folder(folder, files=FILES)
        return
    for path in Path(named).rglob("*"):
        if path.suffix in (".md", ".mdx"):
            copy = folder / path.relative_to(named)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


async def _docs_rag(
    environment: Environment, python: Path, model: Path, characters: int
) -> _Ingested:
    output = await output_of(
        str(python),
        str(HERE / "docs_rag.py"),
        str(environment.folder / "documents"),
        environment.settings.embedding_model,
        str(model),
        str(environment.folder / f"chroma-{model.name}-{characters}"),
        str(characters),
    )
    return _Ingested(**json.loads(output))


async def _brag(environment: Environment, folder: Path) -> _Ingested:
    async with serving(environment) as client:
        run = await end_of(client, await begin(client, {"kind": "folder", "path": str(folder)}))
    return _Ingested(run["stored"], run["passages"], seconds_of(run))
