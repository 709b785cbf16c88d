"""The steps of a run, as a worker's child process does them: plain functions of strings.

A step may be killed between any two lines and run again, twice at once even: what it changes, it
changes in one transaction that first looks whether there is still something to do.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

from app.core.database import Database, Queries
from app.core.exceptions import StartupError
from app.core.stages import stage
from app.knowledge.compaction import compact
from app.knowledge.connectors.access import Access, parse_config
from app.knowledge.connectors.models import Entry, Fetched, Gone, NotModified
from app.knowledge.document_store import (
    KEEP_MODEL_HOURS,
    RECIPE,
    Document,
    build_document,
    find_embedded,
    parts,
    prune_embeddings,
    store_documents,
    texts_of,
    to_bytes,
)
from app.knowledge.exceptions import ModelNotReady, ModelReplaced, ParserFailed, SourceUnusable
from app.knowledge.index_model import find_model_name
from app.knowledge.ingestions.listing import list_source
from app.knowledge.ingestions.schedule import begin_due, resume_forsaken
from app.knowledge.ingestions.transitions import finish_item, log, open_run, store_failure
from app.knowledge.ingestions.work import Work, load_work
from app.knowledge.parsing.models import Parsed
from app.knowledge.parsing.sandbox import Parser
from settings import Settings

if TYPE_CHECKING:
    from app.knowledge.embedding import Embedder
    from app.knowledge.tokens import TokenCounter

__all__ = ["Steps", "open_steps"]

KEEP_DAYS = 90
DELETED = "was deleted before it was stored"
REPLACED = "was replaced or deleted before it was stored"


class Steps:
    """What runs are made of; used by one thread."""

    def __init__(
        self,
        database: Database,
        access: Access,
        parser: Parser,
        load_embedder: "Callable[[str], Embedder]",
        settings: Settings,
    ) -> None:
        self._database = database
        self._access = access
        self._parser = parser
        # One at a time: a model that was replaced is not needed again.
        self._load_embedder = functools.lru_cache(maxsize=1)(load_embedder)
        self._first_model = settings.embedding_model

    def list_source(self, ingestion_id: str) -> None:
        """List a source and queue its documents.

        Raises:
            SourceUnavailable: try again later.
        """
        with stage("document.list"):
            list_source(self._database, self._access, ingestion_id)

    def fetch_document(self, ingestion_id: str, path: str) -> bool:
        """Get a document's content; return whether there is something to store.

        Raises:
            SourceUnavailable: try again later.
        """
        work = self._database.run_sync(load_work, ingestion_id, path)
        if work is None:
            return False
        if work.content is not None:
            return True
        if work.kind == "upload":
            self._finish(ingestion_id, path, "skipped", error=DELETED)
            return False
        entry = Entry(path, work.version, work.url)
        # What was read in another way is fetched whole, whether it has changed or not.
        is_current = work.stored is not None and work.stored["recipe"] == RECIPE
        state = work.stored["state"] if work.stored and is_current and not work.everything else {}
        try:
            config = parse_config(work.config)
            with stage("document.fetch"):
                fetched = self._access.fetch(config, entry, state, depth=work.depth)
        except SourceUnusable as error:
            # Every site has pages that are not for everybody; one that was is another matter.
            is_new_page = work.kind == "web" and work.stored is None
            result = "skipped" if is_new_page else "failed"
            self._finish(ingestion_id, path, result, error=str(error))
            return False
        return self._database.run_sync(_keep, ingestion_id, path, work, fetched)

    def store_document(self, ingestion_id: str, path: str) -> None:
        """Turn a document's content into text, chunks and vectors, and store them."""
        work = self._database.run_sync(load_work, ingestion_id, path)
        if work is None:
            return
        if work.content is None:
            self._finish(ingestion_id, path, "skipped", error=DELETED)
            return
        try:
            with stage("document.parse"):
                parsed = self._parser.parse(work.content, path, work.media_type)
        except ParserFailed as error:
            self._finish(ingestion_id, path, "failed", error=str(error))
            return
        except SourceUnusable as error:
            self._database.run_sync(_skip, ingestion_id, path, work, str(error))
            return
        is_stored = False
        while not is_stored:
            with suppress(ModelReplaced):
                model = self._database.run_sync(find_model_name) or self._first_model
                embedder = self._load_embedder(model)
                with stage("document.chunk"):
                    document = _build(path, work, work.content, parsed, embedder.tokens)
                self._store(ingestion_id, path, embedder, work, document, parsed.note)
                is_stored = True

    def note_failure(
        self, ingestion_id: str, path: str | None, message: str, *, final: bool
    ) -> None:
        """Keep why a step failed; `final` when it is not tried again."""
        self._database.run_sync(_note_failure, ingestion_id, path, message, final)

    def schedule(self) -> None:
        """Begin the runs that are due, and go on with those that nobody works for."""
        self._database.run_sync(begin_due)
        self._database.run_sync(resume_forsaken)
        self._database.run_sync(_queue_prune_of_models)

    def clean(self) -> None:
        """Remove what is too old for anybody to need it; called every day."""
        while self._database.run_sync(compact):
            pass
        self._database.run_sync(lambda queries: queries.delete_old_ingestions(keep_days=KEEP_DAYS))

    def prune(self) -> None:
        """Remove vectors that nothing needs any more."""
        self._database.run_sync(prune_embeddings)

    def _store(
        self,
        ingestion_id: str,
        path: str,
        embedder: "Embedder",
        work: Work,
        document: Document,
        note: str | None,
    ) -> None:
        """Embed a document and store it."""
        texts = texts_of([document])
        embedded = self._database.run_sync(find_embedded, embedder.model_name, texts)
        vectors = _embed(embedder, texts, texts.keys() - embedded)
        # Another run may have removed vectors since we looked, as no longer used.
        while lost := self._store_once(ingestion_id, path, embedder, work, document, vectors, note):
            vectors |= _embed(embedder, texts, lost)

    def _store_once(
        self,
        ingestion_id: str,
        path: str,
        embedder: "Embedder",
        work: Work,
        document: Document,
        vectors: dict[str, bytes],
        note: str | None,
    ) -> set[str]:
        with stage("document.store"):
            return self._database.run_sync(
                _store, ingestion_id, path, embedder, work, document, vectors, note
            )

    def _finish(self, ingestion_id: str, path: str, state: str, *, error: str) -> None:
        self._database.run_sync(_finish, ingestion_id, path, state, error)


def _build(
    path: str, work: Work, content: bytes, parsed: Parsed, tokens: "TokenCounter"
) -> Document:
    return build_document(
        work.source_id,
        path,
        parsed.text,
        content_hash=hashlib.sha256(content).digest(),
        markdown=parsed.markdown,
        tokens=tokens,
        title=work.title or parsed.title,
        version=work.version,
        url=work.url,
        media_type=parsed.media_type,
        metadata=work.metadata,
        state=work.document_state,
    )


def _keep(
    queries: Queries,
    ingestion_id: str,
    path: str,
    work: Work,
    fetched: Fetched | NotModified | Gone,
) -> bool:
    if not open_run(queries, ingestion_id) or not queries.is_item_open(
        ingestion_id=ingestion_id, path=path
    ):
        return False
    _queue_links(queries, ingestion_id, work, fetched.links, depth=work.depth + 1)
    if isinstance(fetched, Gone):
        if fetched.moved_to is not None:
            _queue_links(queries, ingestion_id, work, [fetched.moved_to], depth=work.depth)
        _delete(queries, ingestion_id, path, work.source_id, fetched.reason)
        return False
    if isinstance(fetched, NotModified):
        finish_item(queries, ingestion_id, path, "unchanged")
        return False
    content = fetched.content
    queries.keep_fetched(
        ingestion_id=ingestion_id,
        path=path,
        version=fetched.version,
        url=fetched.url or work.url,
        media_type=content.media_type,
        document_state=json.dumps(fetched.state),
        content=content.data,
    )
    if work.is_stored(hashlib.sha256(content.data).digest()):
        queries.touch_document(
            source_id=work.source_id,
            path=path,
            version=fetched.version,
            url=fetched.url,
            state=json.dumps(fetched.state),
        )
        finish_item(queries, ingestion_id, path, "unchanged")
        return False
    return True


def _queue_links(
    queries: Queries, ingestion_id: str, work: Work, links: Sequence[Entry], *, depth: int
) -> None:
    if not links:
        return
    rows = queries.insert_links(
        ingestion_id=ingestion_id,
        depth=depth,
        items=json.dumps([{"path": entry.path, "url": entry.url} for entry in links]),
        max_items=work.config["max_pages"],
    )
    if paths := [row["path"] for row in rows]:
        list(queries.defer_document_jobs(ingestion_id=ingestion_id, paths=json.dumps(paths)))
        queries.count_listed(ingestion_id=ingestion_id, listed=len(paths))


def _delete(queries: Queries, ingestion_id: str, path: str, source_id: UUID, reason: str) -> None:
    deleted = queries.delete_documents(source_id=source_id, paths=json.dumps([path]))
    finish_item(queries, ingestion_id, path, "deleted" if deleted else "skipped", error=reason)


def _skip(queries: Queries, ingestion_id: str, path: str, work: Work, reason: str) -> None:
    """End an item that can't be used.

    What a source has now replaces what it had; but an upload is the only copy there is, so one that
    was of use before stays as it is.
    """
    if open_run(queries, ingestion_id) and not _is_outdated(queries, ingestion_id, path, work):
        paths = json.dumps([path])
        if work.kind == "upload" and work.stored is not None:
            finish_item(queries, ingestion_id, path, "failed", error=reason)
            return
        if work.kind == "upload":
            queries.delete_uploads(source_id=work.source_id, paths=paths)
        queries.delete_documents(source_id=work.source_id, paths=paths)
        finish_item(queries, ingestion_id, path, "skipped", error=reason)


def _is_outdated(queries: Queries, ingestion_id: str, path: str, work: Work) -> bool:
    """Whether an item needs no work any more; ends it if its upload is another one by now."""
    if not queries.is_item_open(ingestion_id=ingestion_id, path=path):
        return True
    if work.kind != "upload" or work.version == queries.upload_version(
        source_id=work.source_id, path=path
    ):
        return False
    finish_item(queries, ingestion_id, path, "skipped", error=REPLACED)
    return True


def _embed(embedder: "Embedder", texts: dict[str, str], wanted: set[str]) -> dict[str, bytes]:
    vectors: dict[str, bytes] = {}
    if wanted:
        with stage("document.embed", passages=len(wanted)):
            for part in parts(sorted(wanted)):
                matrix = embedder.embed([texts[content_hash] for content_hash in part])
                vectors |= zip(part, map(to_bytes, matrix), strict=True)
    return vectors


def _finish(queries: Queries, ingestion_id: str, path: str, state: str, error: str) -> None:
    if open_run(queries, ingestion_id):
        finish_item(queries, ingestion_id, path, state, error=error)


def _store(
    queries: Queries,
    ingestion_id: str,
    path: str,
    embedder: "Embedder",
    work: Work,
    document: Document,
    vectors: dict[str, bytes],
    note: str | None,
) -> set[str]:
    """Store a document and end its item; return the hashes of vectors that are missing."""
    # Before the source: who waits for a prune must not keep others from it.
    queries.share_embeddings()
    if not open_run(queries, ingestion_id) or _is_outdated(queries, ingestion_id, path, work):
        return set()
    lost = store_documents(
        queries,
        work.source_id,
        embedder.model_name,
        [document],
        vectors,
        dimensions=embedder.dimensions,
    )
    if not lost:
        if note is not None:
            log(queries, ingestion_id, note, path=path)
        finish_item(
            queries,
            ingestion_id,
            path,
            "stored",
            passages=len(document.chunks),
            embedded=len(vectors),
        )
    return lost


def _note_failure(
    queries: Queries, ingestion_id: str, path: str | None, message: str, final: bool
) -> None:
    if path is None:
        if open_run(queries, ingestion_id, "queued", "listing"):
            if final:
                store_failure(queries, ingestion_id, message)
            else:
                log(queries, ingestion_id, f"{message} It will be tried again.", level="warning")
    elif open_run(queries, ingestion_id):
        if final:
            finish_item(queries, ingestion_id, path, "failed", error=message)
        else:
            queries.note_item_error(ingestion_id=ingestion_id, path=path, error=message)


def _queue_prune_of_models(queries: Queries) -> None:
    if queries.has_outdated_model(keep_hours=KEEP_MODEL_HOURS) and not queries.prune_is_queued():
        list(queries.defer_prune_job())


def open_steps(settings: Settings, database_url: str) -> Steps:
    """Open what the steps of one process need; it lives as long as the process."""
    return Steps(
        Database(database_url, pool_size=1),
        Access(settings),
        Parser(),
        functools.partial(_load_embedder, settings),
        settings,
    )


def _load_embedder(settings: Settings, name: str) -> "Embedder":
    # Listing and fetching need no model, and it takes most of a second to load.
    from app.knowledge.embedding import Embedder  # noqa: PLC0415
    from app.knowledge.model_files import require_model  # noqa: PLC0415

    try:
        return Embedder.load(name, require_model(name, settings.models_dir), threads=1)
    except StartupError as error:
        raise ModelNotReady(
            f"The embedding model {name} is not ready where the worker runs. Run "
            f"`EMBEDDING_MODEL={name} make prepare` there."
        ) from error
