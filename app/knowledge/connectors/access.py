"""One way to every kind of source: a listing, and documents one by one.

What only one kind needs is imported with its first source: `ingest` looks at an unchanged folder in
less time than git or HTTP take to load.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, assert_never

from pydantic import TypeAdapter

from app.knowledge.connectors.config import (
    FolderConfig,
    GitConfig,
    GitHubConfig,
    SourceConfig,
    WebConfig,
)
from app.knowledge.connectors.folder import open_folder
from app.knowledge.connectors.models import (
    Content,
    Entry,
    Fetched,
    Gone,
    Listing,
    NotModified,
    Snapshot,
)
from app.knowledge.connectors.tokens import token_for
from app.knowledge.exceptions import SourceUnusable
from app.knowledge.files import Skipped
from settings import Settings

if TYPE_CHECKING:
    from app.knowledge.connectors.github import GitHubConnector
    from app.knowledge.connectors.web import WebConnector

__all__ = ["Access", "parse_config"]

# ruff: noqa: PLC0415
_Connector = TypeVar("_Connector", "GitHubConnector", "WebConnector")
_CONFIG: TypeAdapter[SourceConfig] = TypeAdapter(SourceConfig)


def parse_config(config: Mapping[str, Any]) -> SourceConfig:
    """Return a stored configuration as what it is."""
    return _CONFIG.validate_python(config)


class RemoteSnapshot:
    """A listing whose contents are fetched one by one, later."""

    def __init__(self, listing: Listing | None) -> None:
        self.listing = listing

    def read(
        self,
        entries: Sequence[Entry],  # noqa: ARG002 - as every snapshot takes them
    ) -> Iterator[tuple[Entry, Content | Skipped]]:
        """Yield nothing: `Access.fetch` does."""
        yield from ()


class Access:
    """Reads sources as the settings allow; keeps the last one's connection for the next document.

    Not for several threads at a time.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._open: tuple[SourceConfig, Any] | None = None

    def __enter__(self) -> Self:
        """Nothing is open yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is open."""
        self._open = None
        self._stack.close()

    @contextmanager
    def snapshot(
        self, config: SourceConfig, state: Mapping[str, Any], *, by_operator: bool = False
    ) -> Iterator[Snapshot]:
        """List a source; `state` is what its last listing left.

        What was named `by_operator`, on the command line, may lie anywhere on this machine.

        Raises:
            SourceUnavailable: not now.
            SourceUnusable: not as it is.
        """
        settings = self._settings
        roots = [Path("/")] if by_operator else settings.ingest_roots
        match config:
            case FolderConfig():
                with open_folder(
                    config,
                    allowed_roots=roots,
                    max_bytes=settings.max_document_bytes,
                ) as folder:
                    yield folder
            case GitConfig():
                from app.knowledge.connectors.git import open_git

                with open_git(
                    config,
                    token=token_for(self._settings, config),
                    state=state,
                    allowed_roots=roots,
                    folder=self._temporary_folder(),
                    max_bytes=settings.max_document_bytes,
                ) as repository:
                    yield repository
            case GitHubConfig():
                yield RemoteSnapshot(self._github(config).list(state))
            case WebConfig():
                yield RemoteSnapshot(self._web(config).start(state))
            case _:
                assert_never(config)

    def fetch(
        self, config: SourceConfig, entry: Entry, state: Mapping[str, Any], *, depth: int
    ) -> Fetched | NotModified | Gone:
        """Fetch a document whose content did not come with its listing.

        `state` is what its last fetch left, `depth` how many links led to it.

        Raises:
            SourceUnavailable: not now.
            SourceUnusable: not as it is.
        """
        match config:
            case GitHubConfig():
                return self._github(config).fetch(entry)
            case WebConfig():
                return self._web(config).fetch(entry, state, depth=depth)
            case _:
                raise SourceUnusable("The content is gone; ingest the source again.")

    def _github(self, config: GitHubConfig) -> "GitHubConnector":
        from app.knowledge.connectors.github import GitHubConnector

        return self._opened(
            config,
            lambda: GitHubConnector(
                config,
                api_url=self._settings.github_api_url,
                token=token_for(self._settings, config),
                max_bytes=self._settings.max_document_bytes,
            ),
        )

    def _web(self, config: WebConfig) -> "WebConnector":
        from app.knowledge.connectors.web import WebConnector

        return self._opened(
            config,
            lambda: WebConnector(
                config,
                allow_private=self._settings.web_allow_private_addresses,
                max_bytes=self._settings.max_document_bytes,
            ),
        )

    def _opened(self, config: SourceConfig, make: Callable[[], _Connector]) -> _Connector:
        if self._open is None or self._open[0] != config:
            self._stack.close()
            self._open = None
            self._open = config, self._stack.enter_context(make())
        connector: _Connector = self._open[1]
        return connector

    def _temporary_folder(self) -> Path:
        folder = self._settings.var_dir / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
