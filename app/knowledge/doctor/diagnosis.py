"""The whole examination, and what to do about its findings."""

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from anyio import to_thread

from app.core.database import Database, Queries
from app.core.exceptions import StartupError
from app.knowledge.doctor.findings import Examination, Finding, Severity, Stage
from app.knowledge.doctor.texts import examine_texts
from app.knowledge.doctor.vectors import examine_vectors
from app.knowledge.index_model import require_model_of_index
from app.knowledge.index_source import read_spec
from app.knowledge.vector_index import IndexSpec

if TYPE_CHECKING:
    from app.knowledge.embedding import Embedder

__all__ = ["Diagnosis", "ExitCode", "Indexes", "diagnose", "repair"]


class ExitCode(IntEnum):
    """What the command tells scripts."""

    WELL = 0
    DIFFERENT = 1
    UNCHECKED = 2


class Diagnosis(Examination):
    """All that was looked at and found."""

    @property
    def verdict(self) -> str:
        """Sum it up."""
        return {
            ExitCode.WELL: "All is well.",
            ExitCode.DIFFERENT: "Something is not as it should be.",
            ExitCode.UNCHECKED: "What could be checked is well.",
        }[self.exit_code]

    @property
    def exit_code(self) -> ExitCode:
        """Tell the worst: notes are no reason to worry."""
        severities = {finding.severity for finding in self.findings}
        if Severity.ERROR in severities:
            return ExitCode.DIFFERENT
        return ExitCode.UNCHECKED if Severity.UNCHECKED in severities else ExitCode.WELL


class Indexes(Protocol):
    """Every index there is of a database."""

    async def examine(self, database: Database, spec: IndexSpec) -> Examination:
        """Compare them with PostgreSQL."""
        ...


async def diagnose(
    database: Database,
    indexes: Indexes,
    load_embedder: "Callable[[], Embedder]",
    *,
    model: str,
    stage: Stage,
) -> Diagnosis:
    """Compare PostgreSQL with itself, with the settings and with every index.

    Everything may go on meanwhile: what is just changing is no difference.

    Raises:
        DatabaseUnavailable, IndexUnavailable: a part does not answer, so nothing is known of it.
        StartupError: nothing is embedded yet, and the model can't be loaded.
    """
    diagnosis = Diagnosis()
    registered = await database.run(lambda queries: queries.find_model())
    if registered is None:
        embedder = await to_thread.run_sync(load_embedder)
        spec = await database.run(read_spec, model, embedder.dimensions)
    else:
        spec = await database.run(read_spec, registered["model"], registered["dimensions"])
        diagnosis.findings += await database.run(_check_model, model)
    diagnosis.add(await examine_texts(database, stage))
    usable = load_embedder if spec.model == model else None
    diagnosis.add(await examine_vectors(database, spec, usable))
    stage("comparing indexes", 0, 1)
    diagnosis.add(await indexes.examine(database, spec))
    stage("comparing indexes", 1, 1)
    return diagnosis


async def repair(diagnosis: Diagnosis, stage: Stage) -> None:
    """Mend what can be mended; another diagnosis tells whether it helped.

    Raises:
        DatabaseUnavailable, IndexUnavailable, StartupError: a part does not answer, or the model
            can't be loaded; what was mended so far stays so.
    """
    for finding in diagnosis.findings:
        if finding.mend is not None:
            await finding.mend(stage)


def _check_model(queries: Queries, model: str) -> list[Finding]:
    try:
        require_model_of_index(queries, model)
    except StartupError as error:
        return [Finding(Severity.ERROR, str(error))]
    return []
