"""The embedded index: a replica for each process.

A replica in use is locked, and its process is asked to compare it. All others are opened here.
"""

import asyncio
import functools
import shutil
from pathlib import Path
from typing import Final
from uuid import UUID

from anyio import to_thread

from app.core.database import Database, Queries
from app.knowledge.doctor.findings import (
    Examination,
    Finding,
    Severity,
    Stage,
    describe_points,
    differences,
    queue_chunks,
)
from app.knowledge.edge_generation import NOTE, EdgeFailure, EdgeGeneration, OtherIndex
from app.knowledge.edge_slot import EdgeSlot, slot_name
from app.knowledge.index_checks import end_check, read_answers, request_check
from app.knowledge.index_comparison import Comparison, compare
from app.knowledge.index_source import can_follow_from
from app.knowledge.vector_index import IndexSpec, StoredPoint

__all__ = ["Replicas"]

ANSWER_TIMEOUT_SEC: Final = 60.0
# A process that is trying again waits for up to 5 s between two attempts.
BEGIN_TIMEOUT_SEC: Final = 6.0
LOOK_SEC: Final = 0.05


class Replicas:
    """The replicas in a folder, and those that processes on other machines answer for."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def examine(self, database: Database, spec: IndexSpec) -> Examination:
        """Compare every replica with PostgreSQL.

        Raises:
            DatabaseUnavailable: nothing can be compared.
        """
        found = Examination()
        folders = [path for path in self._root.glob("*") if path.name.isdecimal()]
        in_use = [
            folder
            for folder in sorted(folders, key=lambda path: int(path.name))
            if not await _examine_if_free(folder, database, spec, found)
        ]
        check_id = await database.run(request_check)
        try:
            answers = await _wait_for_answers(database, spec, check_id, in_use, found)
        finally:
            await database.run(end_check, check_id)
        for name in sorted(answers.keys() | {slot_name(folder) for folder in in_use}):
            found.add(_judge(name, answers.get(name), database))
        return found


async def _wait_for_answers(
    database: Database,
    spec: IndexSpec,
    check_id: UUID,
    in_use: list[Path],
    found: Examination,
) -> dict[str, Comparison | None]:
    now = asyncio.get_running_loop().time
    began = now()
    while True:
        answers = await database.run(read_answers, check_id)
        silent = [folder for folder in in_use if slot_name(folder) not in answers]
        for folder in silent:
            # Its process may be gone by now.
            if await _examine_if_free(folder, database, spec, found):
                in_use.remove(folder)
        everybody = len(answers) >= await database.run(_count_listeners)
        patience = ANSWER_TIMEOUT_SEC if None in answers.values() or silent else BEGIN_TIMEOUT_SEC
        complete = everybody and not silent and None not in answers.values()
        if complete or now() - began > patience:
            return answers
        await asyncio.sleep(LOOK_SEC)


def _count_listeners(queries: Queries) -> int:
    listeners: int = queries.count_listeners()
    return listeners


def _judge(name: str, answer: Comparison | None, database: Database) -> Examination:
    title = f"Replica {name} (in use)"
    if answer is None:
        silent = Finding(
            Severity.UNCHECKED,
            f"{title} could not be compared: the process that uses it did not answer. Its log and "
            "/readiness tell why.",
        )
        return Examination([], [silent])
    mend = functools.partial(_queue, database, answer)
    return Examination([describe_points(title, answer)], differences(title, answer, mend))


async def _examine_if_free(
    folder: Path, database: Database, spec: IndexSpec, found: Examination
) -> bool:
    """Examine a replica, unless a process uses it; return whether none does."""
    slot = await to_thread.run_sync(EdgeSlot.take_if_free, folder)
    if slot is None:
        return False
    try:
        # Unfinished ones are thrown away by the next process that takes the slot.
        complete = [path for path in slot.generations() if (path / NOTE).exists()]
        if complete:
            found.add(await _examine_generation(complete[0], database, spec))
    finally:
        slot.release()
    return True


async def _examine_generation(folder: Path, database: Database, spec: IndexSpec) -> Examination:
    name = f"Replica {slot_name(folder.parent)} (not in use)"
    try:
        generation = await to_thread.run_sync(EdgeGeneration.load, folder, spec)
    except OtherIndex:
        line = f"{name}: made from something else; rebuilt when a process needs it"
        return Examination([line])
    except EdgeFailure as error:
        return _damaged(name, folder, error)
    try:
        position = generation.position
        assert position is not None, "loaded ones have one"
        if not await database.run(can_follow_from, spec, position):
            return Examination([f"{name}: too far behind; rebuilt when a process needs it"])

        async def scan(after: UUID, limit: int) -> list[StoredPoint]:
            return await to_thread.run_sync(generation.scan, after, limit)

        comparison = await compare(database, scan, spec, position)
    except EdgeFailure as error:
        return _damaged(name, folder, error)
    finally:
        await to_thread.run_sync(generation.close)
    mend = functools.partial(_queue, database, comparison)
    return Examination([describe_points(name, comparison)], differences(name, comparison, mend))


def _damaged(name: str, folder: Path, error: EdgeFailure) -> Examination:
    finding = Finding(
        Severity.ERROR,
        f"{name} is damaged ({error}).",
        "remove it; it is rebuilt when a process needs it",
        functools.partial(_remove, folder),
    )
    return Examination([], [finding])


async def _queue(database: Database, comparison: Comparison, stage: Stage) -> None:
    ids = comparison.ids
    await queue_chunks(database, ids)
    stage("queueing points", len(ids), len(ids))


async def _remove(folder: Path, stage: Stage) -> None:
    slot = await to_thread.run_sync(EdgeSlot.take_if_free, folder.parent)
    # Whoever has taken it meanwhile has thrown the damaged one away.
    if slot is not None:
        await to_thread.run_sync(shutil.rmtree, folder)
        slot.release()
    stage("removing replicas", 1, 1)
