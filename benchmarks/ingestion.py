"""Ingestion against a bare loop of the same model, and a second run against the first."""

import asyncio
import time

from fastembed import TextEmbedding

from app.knowledge.chunking import MAX_CHARACTERS, split
from app.resources.database import open_database
from benchmarks.environment import Environment
from benchmarks.knowledge import write_folder
from benchmarks.result import Result

__all__ = ["ingestion"]

FILES = 240
BARE_BATCH = 32


async def ingestion(environment: Environment) -> list[Result]:
    """Ingest a folder twice through the command line, as a user does."""
    folder = environment.folder / "documents"
    write_folder(folder, files=FILES)
    texts = [
        passage.embedded_text
        for path in sorted(folder.rglob("*.md"))
        for passage in split(path.read_text(), max_characters=MAX_CHARACTERS)
    ]
    bare = await asyncio.to_thread(_bare_loop, environment, texts)
    # A running database, as beside a running server.
    async with open_database(environment.settings):
        first = await _ingest(environment)
        second = await _ingest(environment)
    return [
        Result(
            "ingestion / a bare loop of the model, chunks/s",
            bare / first,
            at_least=0.85,
            parts=f"{len(texts)} chunks: {len(texts) / first:.0f}/s with everything, "
            f"{len(texts) / bare:.0f}/s bare",
        ),
        Result(
            "first run / second, unchanged run",
            first / second,
            at_least=30,
            parts=f"{first:.2f} s / {second:.2f} s",
        ),
    ]


def _bare_loop(environment: Environment, texts: list[str]) -> float:
    settings = environment.settings
    folder = next(path for path in settings.models_dir.iterdir() if path.is_dir())
    model = TextEmbedding(settings.embedding_model, specific_model_path=str(folder))
    list(model.embed(texts[:BARE_BATCH]))
    started = time.perf_counter()
    for start in range(0, len(texts), BARE_BATCH):
        list(model.embed(texts[start : start + BARE_BATCH], batch_size=BARE_BATCH))
    return time.perf_counter() - started


async def _ingest(environment: Environment) -> float:
    started = time.perf_counter()
    folder = str(environment.folder / "documents")
    async with environment.process("-m", "app", "ingest", folder) as process:
        assert await process.wait() == 0
    return time.perf_counter() - started
