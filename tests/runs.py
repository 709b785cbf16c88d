"""Runs that are driven as a worker drives them, in the test's own process."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from pydantic import SecretStr

from app.accounts.models import LOCAL_ACCOUNT
from app.core.database import Database
from app.knowledge.connectors.access import Access
from app.knowledge.connectors.config import FolderConfig
from app.knowledge.embedding import Embedder
from app.knowledge.exceptions import SourceUnavailable
from app.knowledge.ingestions.schedule import begin_run
from app.knowledge.ingestions.steps import Steps
from app.knowledge.parsing.sandbox import Parser
from settings import Settings
from tests.support import fetch

__all__ = ["Runs", "open_runs"]


class Runs:
    """Runs over one folder."""

    def __init__(self, database: Database, steps: Steps, folder: Path, account_id: UUID) -> None:
        self.database = database
        self.account_id = account_id
        self.steps = steps
        self.folder = folder
        self.source_id: UUID = database.run_sync(
            lambda queries: queries.insert_source(
                account_id=account_id,
                visibility="private",
                kind="folder",
                location=str(folder),
                name="folder",
                config=FolderConfig(kind="folder", path=str(folder)).model_dump_json(),
                every_sec=None,
                by_operator=False,
            )["id"]
        )

    def write(self, files: Mapping[str, str | bytes | None]) -> None:
        """Write files into the folder; None removes one."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)

    def begin(self, *, everything: bool = False) -> str:
        """Queue a run; return its id."""
        row, _ = self.database.run_sync(begin_run, self.source_id, everything=everything)
        return str(row["id"])

    def finish(self, ingestion_id: str) -> dict[str, object]:
        """Do what a worker would do; return the run as it ends."""
        self.steps.list_source(ingestion_id)
        before: list[str] = []
        while paths := self.open_items(ingestion_id):
            assert paths != before, "the run does not go on"
            before = paths
            for path in paths:
                try:
                    if self.steps.fetch_document(ingestion_id, path):
                        self.steps.store_document(ingestion_id, path)
                except SourceUnavailable as error:
                    self.steps.note_failure(ingestion_id, path, str(error), final=True)
        return self.find(ingestion_id)

    def run(self, files: Mapping[str, str | bytes | None] | None = None) -> dict[str, object]:
        """Write files, ingest them, and return the run."""
        self.write(files or {})
        return self.finish(self.begin())

    def find(self, ingestion_id: str) -> dict[str, object]:
        """Return a run as it is."""
        row: dict[str, object] = self.database.run_sync(
            lambda queries: queries.find_ingestion(ingestion_id=ingestion_id)
        )
        return row

    def open_items(self, ingestion_id: str) -> list[str]:
        """Return the paths that are still to be done."""
        return [
            path
            for path, state in self.items(ingestion_id).items()
            if state in ("pending", "fetched")
        ]

    def items(self, ingestion_id: str) -> dict[str, str]:
        """Return the states of a run's items by path."""
        rows = self.database.run_sync(
            lambda queries: list(
                queries.list_items(
                    ingestion_id=ingestion_id,
                    account_id=self.account_id,
                    state=None,
                    after=None,
                    limit=1000,
                )
            )
        )
        return {row["path"]: row["state"] for row in rows}

    def texts(self) -> dict[str, str]:
        """Return the stored documents."""
        return dict(fetch(self.database.url, "SELECT path, text FROM document ORDER BY path"))


@contextmanager
def open_runs(
    database: Database,
    embedder: Embedder,
    settings: Settings,
    folder: Path,
    account_id: UUID = LOCAL_ACCOUNT,
) -> Iterator[Runs]:
    """Open runs over a folder that is created, whose source is an account's."""
    folder.mkdir()
    settings = settings.model_copy(
        update={"ingest_roots": [folder], "database_url": SecretStr(database.url)}
    )
    with Parser() as parser, Access(settings) as access:
        steps = Steps(database, access, parser, lambda _: embedder, settings)
        yield Runs(database, steps, folder, account_id)
