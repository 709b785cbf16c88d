"""Every setting of bRAG, with its default; `.env.example` documents each one."""

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent
OFFLINE_MODEL = "offline-extractive"


# Bound to a host, since whoever may create a source chooses the URL.
_TOKEN_NAME = re.compile(r"[^@\s]+@[^@\s/]+")


class Environment(StrEnum):
    """Where bRAG runs: readable logs on a desk, JSON logs in production."""

    LOCAL = "local"
    PRODUCTION = "production"


class Settings(BaseSettings):
    """The configuration of one process; nothing needs to be set to try bRAG out."""

    model_config = SettingsConfigDict(
        env_file=ROOT / ".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    app_name: str = "bRAG"
    environment: Environment = Environment.LOCAL
    log_level: str = "INFO"
    sentry_dsn: SecretStr | None = None
    var_dir: Path = Path("var")

    database_url: SecretStr | None = None
    database_pool_size: int = Field(default=10, ge=1, le=100)

    qdrant_url: str | None = None
    qdrant_api_key: SecretStr | None = None
    qdrant_host: str | None = None
    qdrant_port: int = Field(default=6333, ge=1, le=65535)
    qdrant_collection_name: str = "brag"

    embedding_model: str = "sentence-transformers/all-MiniLM-L6-v2"
    reranker_model: str | None = None

    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    openai_models: Annotated[list[str], NoDecode] = []
    generation_timeout_sec: float = Field(default=120, gt=0)
    context_tokens: int = Field(default=8_192, ge=4_096)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    workers: int = Field(default=4, ge=1)
    timeout: int = Field(default=120, ge=1)
    reload: bool = False

    ingest_roots: Annotated[list[Path], NoDecode] = []
    source_tokens: Annotated[dict[str, SecretStr], NoDecode] = {}
    github_api_url: str = "https://api.github.com"
    web_allow_private_addresses: bool = False
    max_upload_bytes: int = Field(default=50_000_000, ge=1_000)
    worker_list_concurrency: int = Field(default=1, ge=1, le=64)
    worker_document_concurrency: int | None = Field(default=None, ge=1, le=256)

    retrieval_top_k: int = Field(default=5, ge=1, le=50)
    retrieval_mmr: bool = True
    max_message_characters: int = Field(default=8_000, ge=1)
    max_body_bytes: int = Field(default=1_000_000, ge=1_000)
    max_document_bytes: int = Field(default=10_000_000, ge=1)
    keepalive_sec: float = Field(default=15, gt=0)

    @field_validator("openai_models", mode="before")
    @classmethod
    def _split_models(cls, value: object) -> object:
        if isinstance(value, str):
            return [name.strip() for name in value.split(",") if name.strip()]
        return value

    @field_validator("ingest_roots", mode="before")
    @classmethod
    def _split_roots(cls, value: object) -> object:
        if isinstance(value, str):
            return [path.strip() for path in value.split(",") if path.strip()]
        return value

    @field_validator("ingest_roots")
    @classmethod
    def _absolute_roots(cls, value: list[Path]) -> list[Path]:
        if not all(path.is_absolute() for path in value):
            raise ValueError("must be absolute paths, comma-separated")
        return value

    @field_validator("source_tokens", mode="before")
    @classmethod
    def _split_tokens(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        if not all(
            _TOKEN_NAME.fullmatch(name.strip()) and token.strip() for name, _, token in pairs
        ):
            raise ValueError("must look like name@host=token,other@host=token")
        return {name.strip().lower(): token.strip() for name, _, token in pairs}

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
        if value.upper() not in levels:
            raise ValueError(f"must be one of {', '.join(levels)}")
        return value.upper()

    @field_validator("var_dir")
    @classmethod
    def _below_the_repository(cls, value: Path) -> Path:
        return value if value.is_absolute() else ROOT / value

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        url = urlsplit(value.get_secret_value())
        if url.scheme not in ("postgres", "postgresql"):
            raise ValueError("must start with postgres:// or postgresql://")
        try:
            url.port  # noqa: B018 -- reading it checks it
        except ValueError:
            raise ValueError(
                "has no valid port; write special characters of the password as %XX"
            ) from None
        return value

    @field_validator("sentry_dsn")
    @classmethod
    def _is_dsn(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        url = urlsplit(value.get_secret_value())
        if not (url.scheme in ("http", "https") and url.username and url.path[-1:].isdecimal()):
            raise ValueError("must look like https://key@host/1")
        return value

    @model_validator(mode="after")
    def _one_way_to_name_qdrant(self) -> Self:
        if self.qdrant_url and self.qdrant_host:
            raise ValueError("set QDRANT_URL or QDRANT_HOST, not both")
        return self

    @property
    def is_production(self) -> bool:
        """Whether logs are JSON and nothing is printed for a person at a desk."""
        return self.environment is Environment.PRODUCTION

    @property
    def postgres_dir(self) -> Path:
        """Where the embedded PostgreSQL keeps its data."""
        return self.var_dir / "postgres"

    @property
    def qdrant_dir(self) -> Path:
        """Where the embedded Qdrant engine keeps its replicas."""
        return self.var_dir / "qdrant"

    @property
    def models_dir(self) -> Path:
        """Where prepared models are kept."""
        return self.var_dir / "models"

    @property
    def qdrant_server_url(self) -> str | None:
        """The Qdrant server's URL, however it was named; None means the embedded engine."""
        if self.qdrant_host:
            return f"http://{self.qdrant_host}:{self.qdrant_port}"
        return self.qdrant_url

    @property
    def has_language_model(self) -> bool:
        """Whether an upstream language model is configured; else the offline one answers."""
        return bool(self.openai_api_key or self.openai_base_url)

    @property
    def document_jobs(self) -> int:
        """How many documents one process stores at a time."""
        return self.worker_document_concurrency or os.cpu_count() or 1

    @property
    def stream_limit_sec(self) -> float:
        """When a stream whose reader stopped reading is cut off: well after any answer's end."""
        return self.generation_timeout_sec * 2

    @property
    def models(self) -> tuple[str, ...]:
        """The models a request may name; the first is the default."""
        if not self.has_language_model:
            return (OFFLINE_MODEL,)
        return tuple(self.openai_models) or ("gpt-5-mini", "gpt-5", "gpt-4.1-mini", "gpt-4.1")


def load_settings() -> Settings:
    """Read the settings from the environment and `.env`."""
    return Settings()
