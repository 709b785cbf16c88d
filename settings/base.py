"""Every setting of bRAG, with its default; `.env.example` documents each one."""

import re
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from settings.machine import usable_cores, usable_memory_bytes

ROOT = Path(__file__).resolve().parent.parent
OFFLINE_MODEL = "offline-extractive"
# Known to everybody, so good for a desk only.
LOCAL_SECRET = "local secret, not for production"  # noqa: S105 -- as it says
MIN_SECRET_CHARACTERS = 32
DEFAULT_REQUESTS_PER_MINUTE = 120
DEFAULT_TOKENS_PER_DAY = 1_000_000
DEFAULT_CONCURRENT_GENERATIONS = 4
# What a serving process takes at most while its replica of 100,000 chunks is filled.
PROCESS_BYTES = 768 * 1024**2
# Of the 100 that a PostgreSQL has by default; the rest is for workers and commands.
CONNECTIONS = 80
# Of a serving process, besides its pool: for signs of life, notifications and locks.
OTHER_CONNECTIONS = 4

# Bound to a host, since whoever may create a source chooses the URL.
_TOKEN_NAME = re.compile(r"[^@\s]+@[^@\s/]+")
_PRICES = "must look like gpt-5-mini=0.25/2,other-model=1/4: per million tokens, prompts/answers"
# No path, no query, nobody's name: what a browser sends as `Origin`.
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d+)?", re.ASCII)


class Environment(StrEnum):
    """Where bRAG runs: readable logs on a desk, JSON logs in production."""

    LOCAL = "local"
    PRODUCTION = "production"


class Auth(StrEnum):
    """Whether requests must say who sends them."""

    OFF = "off"
    REQUIRED = "required"


class ModelPrice(NamedTuple):
    """What a million tokens cost, of prompts and of completions, in whatever currency."""

    input: Decimal
    output: Decimal


class Settings(BaseSettings):
    """The configuration of one process; nothing needs to be set to try bRAG out."""

    model_config = SettingsConfigDict(
        env_file=ROOT / ".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        # Where two settings don't go together, the input is all of them, secrets included.
        hide_input_in_errors=True,
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
    openai_prices: Annotated[dict[str, ModelPrice], NoDecode] = {}
    generation_timeout_sec: float = Field(default=120, gt=0)
    context_tokens: int = Field(default=8_192, ge=4_096)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    workers: int | None = Field(default=None, ge=1)
    timeout: int = Field(default=120, ge=1)
    reload: bool = False

    auth: Auth = Auth.OFF
    secret_key: SecretStr = SecretStr(LOCAL_SECRET)
    public_url: str | None = None
    smtp_url: SecretStr | None = None
    mail_from: str = "bRAG <brag@localhost>"
    cors_origins: Annotated[list[str], NoDecode] = []
    requests_per_minute: int | None = Field(default=None, ge=0, le=1_000_000)
    tokens_per_day: int | None = Field(default=None, ge=0, le=1_000_000_000)
    login_requests_per_hour: int = Field(default=10, ge=1, le=1_000_000)
    concurrent_generations: int | None = Field(default=None, ge=0, le=10_000)

    ingest_roots: Annotated[list[Path], NoDecode] = []
    source_tokens: Annotated[dict[str, SecretStr], NoDecode] = {}
    github_api_url: str = "https://api.github.com"
    web_allow_private_addresses: bool = False
    max_upload_bytes: int = Field(default=50_000_000, ge=1_000)
    worker_list_concurrency: int = Field(default=1, ge=1, le=64)
    worker_document_concurrency: int | None = Field(default=None, ge=1, le=256)
    worker_metrics_port: int | None = Field(default=None, ge=1, le=65535)

    retrieval_top_k: int = Field(default=5, ge=1, le=50)
    retrieval_mmr: bool = True
    max_message_characters: int = Field(default=8_000, ge=1)
    max_body_bytes: int = Field(default=1_000_000, ge=1_000)
    max_document_bytes: int = Field(default=10_000_000, ge=1)
    keepalive_sec: float = Field(default=15, gt=0)
    stream_resume_sec: float = Field(default=30, gt=0)

    @field_validator("openai_models", "cors_origins", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
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

    @field_validator("openai_prices", mode="before")
    @classmethod
    def _split_prices(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        # The last one: names of models may have more of them.
        pairs = [pair.rpartition("=") for pair in value.split(",") if pair.strip()]
        prices = {name.strip(): _price(price) for name, _, price in pairs}
        if not all(prices):
            raise ValueError(_PRICES)
        return prices

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
        url = _split_url(value.get_secret_value())
        if url.scheme not in ("postgres", "postgresql"):
            raise ValueError("must start with postgres:// or postgresql://")
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

    @field_validator("public_url")
    @classmethod
    def _is_public_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = _split_url(value)
        if (
            url.scheme not in ("http", "https")
            or not url.hostname
            or url.username is not None
            or not value.isprintable()
            or any(character in value for character in " ?#")
        ):
            raise ValueError("must look like https://brag.example")
        if url.path.strip("/"):
            # The page asks for /static and /v1 of its host.
            raise ValueError(
                "must look like https://brag.example, without a path: bRAG needs a host of its own"
            )
        return value.rstrip("/")

    @field_validator("smtp_url")
    @classmethod
    def _is_smtp(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        url = _split_url(value.get_secret_value())
        if url.scheme not in ("smtp", "smtps") or not url.hostname:
            raise ValueError(
                "must look like smtp://user:password@host:587 or smtps://user:password@host:465"
            )
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: list[str]) -> list[str]:
        if not all(origin == "*" or _is_origin(origin) for origin in value):
            raise ValueError(
                "must be origins, comma-separated, such as https://app.example:8443, without a "
                "slash at the end; or *"
            )
        # As browsers write them.
        return [origin.lower() for origin in value]

    @model_validator(mode="after")
    def _one_way_to_name_qdrant(self) -> Self:
        if self.qdrant_url and self.qdrant_host:
            raise ValueError("Set QDRANT_URL or QDRANT_HOST, not both")
        return self

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if not self.is_production:
            return self
        if not self.requires_auth:
            raise ValueError("With ENVIRONMENT=production, set AUTH=required")
        secret = self.secret_key.get_secret_value()
        if secret == LOCAL_SECRET or len(secret) < MIN_SECRET_CHARACTERS:
            raise ValueError(
                "With ENVIRONMENT=production, set SECRET_KEY to "
                f"{MIN_SECRET_CHARACTERS} random characters or more: openssl rand -hex 32"
            )
        if self.smtp_url and not self.public_url:
            raise ValueError(
                "with ENVIRONMENT=production and SMTP_URL, set PUBLIC_URL to what links begin "
                "with: https://brag.example"
            )
        if "*" in self.cors_origins:
            raise ValueError(
                "With ENVIRONMENT=production, CORS_ORIGINS must name the origins, since requests "
                "carry credentials: not *"
            )
        return self

    @property
    def requires_auth(self) -> bool:
        """Whether requests must say who sends them; else everything is the local account's."""
        return self.auth == Auth.REQUIRED

    @property
    def request_limit(self) -> int:
        """How many requests an account may send in a minute; 0 is any number."""
        if self.requests_per_minute is None:
            return DEFAULT_REQUESTS_PER_MINUTE if self.requires_auth else 0
        return self.requests_per_minute

    @property
    def token_limit(self) -> int:
        """How many of a language model's tokens an account may use in a day; 0 is any number."""
        if self.tokens_per_day is None:
            return DEFAULT_TOKENS_PER_DAY if self.requires_auth else 0
        return self.tokens_per_day

    @property
    def generation_limit(self) -> int:
        """How many answers an account may have in the making at once; 0 is any number."""
        if self.concurrent_generations is None:
            return DEFAULT_CONCURRENT_GENERATIONS if self.requires_auth else 0
        return self.concurrent_generations

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
    def processes(self) -> int:
        """How many processes serve: one a core, as far as memory and PostgreSQL go."""
        if self.workers is not None:
            return self.workers
        by_memory = usable_memory_bytes() // PROCESS_BYTES
        by_connections = CONNECTIONS // (self.database_pool_size + OTHER_CONNECTIONS)
        return max(1, min(usable_cores(), by_memory, by_connections))

    @property
    def document_jobs(self) -> int:
        """How many documents one process stores at a time."""
        return self.worker_document_concurrency or usable_cores()

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


def _price(value: str) -> ModelPrice:
    prompt, _, completion = value.partition("/")
    try:
        price = ModelPrice(Decimal(prompt.strip()), Decimal(completion.strip()))
    except InvalidOperation:
        raise ValueError(_PRICES) from None
    if not all(part.is_finite() and part >= 0 for part in price):
        raise ValueError(_PRICES)
    return price


def _split_url(value: str) -> SplitResult:
    try:
        url = urlsplit(value)
    except ValueError:
        # Which quotes what it found, of the password even.
        raise ValueError(
            "is not a valid URL; write special characters of the password as %XX"
        ) from None
    try:
        url.port  # noqa: B018 -- reading it checks it
    except ValueError:
        raise ValueError(
            "has no valid port; write special characters of the password as %XX"
        ) from None
    return url


def _is_origin(value: str) -> bool:
    return bool(_ORIGIN.fullmatch(value) and _split_url(value))


def load_settings() -> Settings:
    """Read the settings from the environment and `.env`."""
    return Settings()
