"""`ingest` into a server: what is here is uploaded, what is elsewhere becomes a source there."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from app.cli.connection import Connection
from app.cli.errors import RequestFailed
from app.cli.outcomes import Outcome
from app.cli.run_progress import RunProgress
from app.cli.uploading import upload
from app.core.exceptions import InvalidRequest
from app.knowledge.connectors.naming import is_remote

__all__ = ["ingest_elsewhere"]


async def ingest_elsewhere(
    connection: Connection,
    source: str,
    *,
    branch: str | None,
    path_prefixes: Sequence[str],
    if_empty: bool,
    visibility: str | None,
) -> Outcome:
    """Have a server ingest something, and see that through.

    Raises:
        AppError, RequestFailed: it can't be done; says why.
    """
    outcome = Outcome()
    if if_empty and await connection.get("/v1/documents", limit=1):
        return outcome
    with RunProgress() as progress:
        if is_remote(source):
            config = {
                "kind": "auto",
                "location": source,
                "branch": branch,
                "path_prefixes": list(path_prefixes),
            }
            run_ids = [await _sync(connection, config, visibility)]
        else:
            if branch is not None or path_prefixes:
                raise InvalidRequest(
                    "A folder has neither --branch nor --path-prefix: name a subfolder."
                )
            run_ids = await upload(connection, source, visibility, outcome, progress)
        await _follow(connection, run_ids, outcome, progress)
    return outcome


async def _sync(connection: Connection, config: dict[str, Any], visibility: str | None) -> str:
    """Begin a run over a source, which is made when it isn't there; return the run's id."""
    try:
        made = await connection.post("/v1/sources", {"config": config, "visibility": visibility})
        run = made["ingestion"]
    except RequestFailed as error:
        if "source_id" not in error.details:
            raise
        path = f"/v1/sources/{error.details['source_id']}"
        if visibility is not None:
            # First: the run could end before anybody may read what it stores.
            await connection.patch(path, {"visibility": visibility})
        run = await connection.post(f"{path}/sync")
    return str(run["id"])


async def _follow(
    connection: Connection, run_ids: Sequence[str], outcome: Outcome, progress: RunProgress
) -> None:
    """See runs through, one after the other; the server works on all of them."""
    listed = stored = passages = 0
    for number, run_id in enumerate(run_ids, start=1):
        async with aclosing(connection.follow(f"/v1/ingestions/{run_id}/events")) as events:
            async for event in events:
                if event.name == "log":
                    if event.data["path"] is not None:
                        outcome.note(event.data["level"], event.data["path"], event.data["message"])
                    continue
                run = event.data
                together = {
                    **run,
                    "listed": listed + run["listed"],
                    "stored": stored + run["stored"],
                    "passages": passages + run["passages"],
                }
                progress.run(together)
                if event.name == "done":
                    outcome.ingestions.append(run)
                    ended = sum(run[name] for name in ("unchanged", "stored", "skipped", "failed"))
                    listed, stored = listed + run["listed"], stored + ended
                    passages += run["passages"]
        if len(run_ids) > 1:
            progress.step("Batches", number, len(run_ids), unit="batches")
