"""The first step of a run: what a source has, what of it is new, and a job for each of those."""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.core.database import Database, Queries
from app.knowledge.connectors.access import Access, parse_config
from app.knowledge.connectors.models import Content, Entry, Listing, Snapshot
from app.knowledge.document_store import RECIPE
from app.knowledge.exceptions import SourceUnusable
from app.knowledge.files import Skipped
from app.knowledge.ingestions.transitions import finish_if_done, log, open_run, store_failure

__all__ = ["list_source", "vanished"]

# Contents travel to PostgreSQL in statements of about this size.
BATCH_BYTES = 4_000_000
# An index entry of PostgreSQL holds 2,704 bytes.
MAX_PATH_BYTES = 2_000
# Every page of a site is fetched, if only to learn that it is as it was.
FETCHED_ANYWAY = ("web",)

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Run:
    kind: str
    config: dict[str, Any]
    source_state: dict[str, Any]
    everything: bool
    by_operator: bool
    # which listing of its run this is: a later one takes over
    listing: int
    # (version, recipe) by path
    stored: dict[str, tuple[str, str]]
    # (version, reason) by path, as the last run found
    unusable: dict[str, tuple[str, str]]

    @property
    def known_state(self) -> dict[str, Any]:
        """What the last listing left, unless everything has to be looked at again."""
        outdated = any(recipe != RECIPE for _, recipe in self.stored.values())
        return {} if self.everything or outdated else self.source_state


def list_source(database: Database, access: Access, ingestion_id: str) -> None:
    """List a source and queue its documents; what can't work is noted, and is no error here.

    Safe to repeat: a listing that was killed begins again.

    Raises:
        SourceUnavailable: try again later.
    """
    run = database.run_sync(_begin, ingestion_id)
    if run is None:
        return
    if run.kind == "upload":
        database.run_sync(_queue_uploads, ingestion_id, run)
        return
    try:
        config = parse_config(run.config)
        with access.snapshot(config, run.known_state, by_operator=run.by_operator) as snapshot:
            if snapshot.listing is None:
                database.run_sync(_finish_unchanged, ingestion_id, run)
                return
            skipped = _store_items(database, ingestion_id, run, snapshot, snapshot.listing)
            database.run_sync(_finish, ingestion_id, run, snapshot.listing, skipped)
    except SourceUnusable as error:
        database.run_sync(_give_up, ingestion_id, run, str(error))


def vanished(stored: Iterable[str], listed: Iterable[str], skipped: Sequence[Skipped]) -> list[str]:
    """Return the stored paths that are gone from a source, or can no longer be used."""
    # What can't be read just now, a folder for instance, says nothing of what is in it.
    unknown = tuple(f"{skip.path}/" for skip in skipped if skip.unreadable)
    present = set(listed) - {skip.path for skip in skipped}
    return sorted(
        path for path in stored if path not in present and not f"{path}/".startswith(unknown)
    )


def _begin(queries: Queries, ingestion_id: str) -> _Run | None:
    if not open_run(queries, ingestion_id, "queued", "listing"):
        return None
    listing = queries.begin_listing(ingestion_id=ingestion_id, recipe=RECIPE)
    queries.delete_items(ingestion_id=ingestion_id)
    run = queries.ingestion_of(ingestion_id=ingestion_id)
    log(queries, ingestion_id, "listing the source")
    rows = queries.list_document_versions(source_id=run["source_id"])
    return _Run(
        run["kind"],
        run["config"],
        run["source_state"],
        run["everything"],
        run["by_operator"],
        listing,
        {row["path"]: (row["version"], row["recipe"]) for row in rows},
        _find_unusable(queries, run["source_id"]),
    )


def _find_unusable(queries: Queries, source_id: UUID) -> dict[str, tuple[str, str]]:
    rows = queries.list_unusable(source_id=source_id, recipe=RECIPE)
    return {row["path"]: (row["version"], row["error"]) for row in rows}


def _store_items(
    database: Database, ingestion_id: str, run: _Run, snapshot: Snapshot, listing: Listing
) -> list[Skipped]:
    """Keep what has changed, contents included; return what turned out to be unusable."""
    wanted = [entry for entry in _usable(listing) if not _is_unchanged(entry, run)]
    skipped = [*listing.skipped, *_too_long(listing)]
    if not run.everything:
        # Looking again would find the same.
        known = {entry.path for entry in wanted if _is_known_unusable(entry, run)}
        skipped += [Skipped(path, run.unusable[path][1]) for path in sorted(known)]
        wanted = [entry for entry in wanted if entry.path not in known]
    by_path = {entry.path: _item(entry) for entry in wanted}
    batch: list[Item] = []
    size = 0
    for entry, content in snapshot.read(wanted):
        item = by_path.pop(entry.path)
        if isinstance(content, Skipped):
            skipped.append(content)
            continue
        batch.append(item | _with(content))
        size += len(content.data)
        if size >= BATCH_BYTES:
            database.run_sync(_insert, ingestion_id, run, batch)
            batch, size = [], 0
    # Those that the snapshot has not read are fetched one by one.
    if remaining := [*batch, *by_path.values()]:
        database.run_sync(_insert, ingestion_id, run, remaining)
    return skipped


def _usable(listing: Listing) -> Iterator[Entry]:
    skipped = {skip.path for skip in listing.skipped}
    seen: set[str] = set()
    for entry in listing.entries:
        if entry.path not in seen and entry.path not in skipped and not _is_too_long(entry):
            seen.add(entry.path)
            yield entry


def _too_long(listing: Listing) -> Iterator[Skipped]:
    for entry in listing.entries:
        if _is_too_long(entry):
            yield Skipped(entry.path[:100] + "…", f"has a path of over {MAX_PATH_BYTES} bytes")


def _is_too_long(entry: Entry) -> bool:
    return len(entry.path.encode()) > MAX_PATH_BYTES


def _is_unchanged(entry: Entry, run: _Run) -> bool:
    return (
        not run.everything
        and run.kind not in FETCHED_ANYWAY
        and run.stored.get(entry.path) == (entry.version, RECIPE)
    )


def _shown(path: str) -> str:
    """Return the path of something skipped so that it can be stored and shown."""
    return path.encode("utf-8", "replace").decode().replace("\0", "")[:500]


def _is_known_unusable(entry: Entry, run: _Run) -> bool:
    return entry.version != "" and run.unusable.get(entry.path, ("",))[0] == entry.version


def _item(entry: Entry) -> Item:
    return {
        "path": entry.path,
        "state": "pending",
        "version": entry.version,
        "url": entry.url,
        "media_type": None,
        "depth": 0,
        "content": None,
        "error": None,
    }


def _with(content: Content) -> Item:
    return {
        "state": "fetched",
        "media_type": content.media_type,
        "content": base64.b64encode(content.data).decode(),
    }


def _is_current(queries: Queries, ingestion_id: str, run: _Run) -> bool:
    return (
        open_run(queries, ingestion_id, "listing")
        and queries.current_listing(ingestion_id=ingestion_id) == run.listing
    )


def _insert(queries: Queries, ingestion_id: str, run: _Run, items: Sequence[Item]) -> None:
    if _is_current(queries, ingestion_id, run):
        queries.insert_items(ingestion_id=ingestion_id, items=json.dumps(items))


def _finish(
    queries: Queries, ingestion_id: str, run: _Run, listing: Listing, skipped: Sequence[Skipped]
) -> None:
    """Queue a job for each new document; from here on the listing is never repeated."""
    if not _is_current(queries, ingestion_id, run):
        return
    entries = {entry.path: entry for entry in _usable(listing)}
    unusable = {skip.path: skip.reason for skip in skipped}
    # With its version it is remembered as unusable: for good if a job has found that, but not if it
    # just could not be read, or was too large for a setting.
    items = [
        _item(entries[path] if path in run.unusable and path in entries else Entry(_shown(path)))
        | {"state": "skipped", "error": reason}
        for path, reason in unusable.items()
    ]
    if run.kind not in FETCHED_ANYWAY:
        gone = set(vanished(run.stored, entries, skipped)) - unusable.keys()
        items += [_item(Entry(path)) | {"state": "vanished"} for path in sorted(gone)]
        _delete_unusable(queries, ingestion_id, run, skipped)
    queries.insert_items(ingestion_id=ingestion_id, items=json.dumps(items))
    jobs = list(queries.defer_document_jobs(ingestion_id=ingestion_id, paths=None))
    met = [path for path in entries if path not in unusable]
    queries.begin_running(
        ingestion_id=ingestion_id,
        listed=len(met) + len(unusable),
        unchanged=len(met) - len(jobs),
        skipped=len(unusable),
        source_state=json.dumps(listing.state),
    )
    log(
        queries,
        ingestion_id,
        f"listed {len(met)} documents: {len(met) - len(jobs)} as they were, {len(jobs)} to do",
    )
    for path, reason in unusable.items():
        log(queries, ingestion_id, reason, level="warning", path=path)
    finish_if_done(queries, ingestion_id)


def _queue_uploads(queries: Queries, ingestion_id: str, run: _Run) -> None:
    if not _is_current(queries, ingestion_id, run):
        return
    source_id = queries.ingestion_of(ingestion_id=ingestion_id)["source_id"]
    listed = queries.insert_upload_items(ingestion_id=ingestion_id, source_id=source_id, paths=None)
    list(queries.defer_document_jobs(ingestion_id=ingestion_id, paths=None))
    queries.begin_running(
        ingestion_id=ingestion_id, listed=listed, unchanged=0, skipped=0, source_state=None
    )
    finish_if_done(queries, ingestion_id)


def _delete_unusable(
    queries: Queries, ingestion_id: str, run: _Run, skipped: Sequence[Skipped]
) -> None:
    """Remove documents whose files are there, but of no use any more: emptied, grown too large."""
    paths = [skip.path for skip in skipped if not skip.unreadable and skip.path in run.stored]
    if paths:
        source_id = queries.ingestion_of(ingestion_id=ingestion_id)["source_id"]
        queries.delete_documents(source_id=source_id, paths=json.dumps(paths))


def _finish_unchanged(queries: Queries, ingestion_id: str, run: _Run) -> None:
    if _is_current(queries, ingestion_id, run):
        documents = len(run.stored)
        queries.begin_running(
            ingestion_id=ingestion_id,
            listed=documents,
            unchanged=documents,
            skipped=0,
            source_state=json.dumps(run.source_state),
        )
        finish_if_done(queries, ingestion_id)


def _give_up(queries: Queries, ingestion_id: str, run: _Run, message: str) -> None:
    if _is_current(queries, ingestion_id, run):
        store_failure(queries, ingestion_id, message)
