"""A folder's files on their way to a server, in requests that any server can hold."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from app.cli.connection import Connection
from app.cli.errors import RequestFailed
from app.cli.outcomes import Outcome
from app.cli.run_progress import RunProgress
from app.core.exceptions import InvalidRequest
from app.knowledge.exceptions import FolderError
from app.knowledge.files import FoundFile, Skipped, list_files, read_bytes

__all__ = ["upload"]

BATCH_FILES: Final = 50
BATCH_BYTES: Final = 8_000_000
# As many as a server takes that nobody has told otherwise; it says itself what is too large for it.
MAX_FILE_BYTES: Final = 49_000_000
# What a server asks to wait for that long or less is waited for.
LONGEST_WAIT_SEC: Final = 120
WAITS: Final = 10
# Refused because of one of the files: each is then sent by itself.
OF_ONE_FILE: Final = (413, 422)

Files = Sequence[tuple[str, bytes]]


async def upload(
    connection: Connection,
    source: str,
    visibility: str | None,
    outcome: Outcome,
    progress: RunProgress,
) -> list[str]:
    """Send the documents of a folder, or one file; return the ids of the runs that store them.

    Raises:
        AppError, RequestFailed: there is no such folder, or the server refuses.
    """
    root, found, skipped = await asyncio.to_thread(_list, source)
    for skip in skipped:
        outcome.note("warning", skip.path, skip.reason)
    progress.step("Listing", len(found), len(found))
    runs: list[str] = []
    sent = 0
    for batch in _batches(found):
        files: list[tuple[str, bytes]] = []
        for file in batch:
            content = await asyncio.to_thread(read_bytes, file, root)
            if isinstance(content, Skipped):
                outcome.note("warning", content.path, content.reason)
            else:
                files.append((file.path, content))
        if files:
            runs += await _send(connection, files, visibility, outcome, progress)
        sent += len(batch)
        progress.step("Uploading", sent, len(found))
    return runs


def _list(source: str) -> tuple[Path, list[FoundFile], list[Skipped]]:
    root = Path(source).resolve()
    try:
        found, skipped = list_files(root, max_bytes=MAX_FILE_BYTES)
    except FolderError as error:
        raise InvalidRequest(str(error)) from None
    # What is read later is compared with where the one file lies.
    return (root.parent if root.is_file() else root), found, skipped


def _batches(found: Sequence[FoundFile]) -> Iterator[list[FoundFile]]:
    batch: list[FoundFile] = []
    for file in found:
        size = sum(one.size for one in batch) + file.size
        if batch and (len(batch) == BATCH_FILES or size > BATCH_BYTES):
            yield batch
            batch = []
        batch.append(file)
    if batch:
        yield batch


async def _send(
    connection: Connection,
    files: Files,
    visibility: str | None,
    outcome: Outcome,
    progress: RunProgress,
) -> list[str]:
    fields: dict[str, object] = {"path": [path for path, _ in files]}
    if visibility:
        fields["visibility"] = visibility
    parts = [("file", (path.rpartition("/")[2], content)) for path, content in files]
    for left in reversed(range(WAITS)):
        try:
            accepted = await connection.post("/v1/documents", data=fields, files=parts)
            return [accepted["ingestion"]["id"]]
        except RequestFailed as error:
            if error.status in OF_ONE_FILE and len(files) == 1:
                outcome.note("error", files[0][0], error.message)
                return []
            if error.status in OF_ONE_FILE:
                break
            wait = error.retry_after_sec
            if wait is None or wait > LONGEST_WAIT_SEC or not left:
                raise
            progress.say(f"The server asks to wait for {wait:.0f} s.")
            await asyncio.sleep(wait)
    runs: list[str] = []
    for one in files:
        runs += await _send(connection, [one], visibility, outcome, progress)
    return runs
