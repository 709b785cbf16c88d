"""The doctor with everything that it needs."""

import functools
from collections.abc import AsyncGenerator

from app.knowledge.doctor.collection import Collection
from app.knowledge.doctor.diagnosis import Diagnosis, Indexes, diagnose, repair
from app.knowledge.doctor.findings import Stage
from app.knowledge.doctor.replicas import Replicas
from app.resources.database import open_database
from app.resources.embedder import load_embedder
from app.resources.index import open_server_index
from settings import Settings

__all__ = ["run_doctor"]


async def run_doctor(
    settings: Settings, *, mend: bool, stage: Stage
) -> AsyncGenerator[Diagnosis, None]:
    """Yield a diagnosis and, when `mend` could mend something, another one after that.

    Raises:
        AppError, StartupError: a part does not answer, so nothing is known of it.
    """
    load = functools.cache(functools.partial(load_embedder, settings))
    async with open_database(settings) as database:
        diagnosing = functools.partial(
            diagnose,
            database,
            _indexes(settings),
            load,
            model=settings.embedding_model,
            stage=stage,
        )
        diagnosis = await diagnosing()
        yield diagnosis
        if mend and any(finding.mend for finding in diagnosis.findings):
            await repair(diagnosis, stage)
            yield await diagnosing()


def _indexes(settings: Settings) -> Indexes:
    if (url := settings.qdrant_server_url) is None:
        return Replicas(settings.qdrant_dir)
    return Collection(functools.partial(open_server_index, settings, url))
