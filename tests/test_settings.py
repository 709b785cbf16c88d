"""Settings: documented, checked, and compatible with what users already have."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.core.exceptions import StartupError
from app.core.startup import checked_settings
from settings import ROOT, Auth, Environment, Settings

EXAMPLE = (ROOT / ".env.example").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_example(name: str) -> None:
    assert re.search(rf"^# {name.upper()}=", EXAMPLE, re.MULTILINE)


def test_the_example_names_nothing_that_is_not_a_setting() -> None:
    names = re.findall(r"^# ([A-Z_]+)=", EXAMPLE, re.MULTILINE)

    assert {name.lower() for name in names} == Settings.model_fields.keys()


@pytest.mark.parametrize(
    "name",
    sorted(
        Settings.model_fields.keys()
        - {
            "sentry_dsn",
            "database_url",
            "openai_api_key",
            "source_tokens",
            "secret_key",
            "openai_prices",
        }
    ),
)
def test_the_example_shows_the_default(name: str) -> None:
    default = Settings.model_fields[name].default
    [shown] = re.findall(rf"^# {name.upper()}=(.*)$", EXAMPLE, re.MULTILINE)

    given: dict[str, Any] = {name: shown}
    if default is not None and default != []:
        assert getattr(Settings(**given), name) == getattr(Settings(), name)


def test_the_qdrant_server_can_be_named_by_host_and_port() -> None:
    assert Settings().qdrant_server_url is None
    assert Settings(qdrant_url="http://q:1").qdrant_server_url == "http://q:1"
    assert Settings(qdrant_host="q").qdrant_server_url == "http://q:6333"
    assert Settings(qdrant_host="q", qdrant_port=7).qdrant_server_url == "http://q:7"
    with pytest.raises(ValidationError, match="not both"):
        Settings(qdrant_url="http://q:1", qdrant_host="q")


def test_models_are_a_comma_separated_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_MODELS", "one, two,")

    assert Settings().models == ("one", "two")


def test_without_a_language_model_the_offline_one_is_the_only_model() -> None:
    assert Settings().models == ("offline-extractive",)
    assert "offline-extractive" not in Settings(openai_base_url="http://127.0.0.1/v1").models


def test_folders_are_below_the_repository_wherever_bRAG_is_started(  # noqa: N802 -- its name
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert Settings().postgres_dir == ROOT / "var" / "postgres"
    assert Settings(var_dir="/srv/brag").postgres_dir == Path("/srv/brag/postgres")


def test_requests_are_limited_where_they_say_who_sends_them() -> None:
    assert Settings().request_limit == 0
    assert Settings(auth=Auth.REQUIRED).request_limit == 120
    assert Settings(auth=Auth.REQUIRED, requests_per_minute=0).request_limit == 0
    assert Settings(requests_per_minute=7).request_limit == 7


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://brag.example/", "https://brag.example"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ],
)
def test_the_public_url_ends_without_a_slash(given: str, kept: str) -> None:
    assert Settings(public_url=given).public_url == kept


def test_origins_are_kept_as_browsers_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "CORS_ORIGINS", "https://App.Example, http://[::1]:3000, http://localhost:3000"
    )

    assert Settings().cors_origins == [
        "https://app.example",
        "http://[::1]:3000",
        "http://localhost:3000",
    ]
    assert Settings(cors_origins=["*"]).cors_origins == ["*"]


PRODUCTION: dict[str, Any] = {
    "environment": "production",
    "auth": "required",
    "secret_key": "0123456789abcdef" * 2,
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"auth": "off"}, "With ENVIRONMENT=production, set AUTH=required."),
        ({"secret_key": ""}, "With ENVIRONMENT=production, set SECRET_KEY to 32 random"),
        ({}, None),
        ({"secret_key": "hunter2hunter2hunter2"}, "SECRET_KEY to 32 random characters or more"),
        ({"secret_key": Settings().secret_key.get_secret_value()}, "set SECRET_KEY to 32 random"),
        ({"cors_origins": "*"}, "CORS_ORIGINS must name the origins"),
        ({"cors_origins": "https://app.example"}, None),
        ({"smtp_url": "smtp://mail.example"}, "set PUBLIC_URL to what links begin with"),
        ({"smtp_url": "smtp://mail.example", "public_url": "https://brag.example"}, None),
    ],
)
def test_production_is_safe_or_not_started(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], words: str | None
) -> None:
    for name, value in (PRODUCTION | changes).items():
        monkeypatch.setenv(name.upper(), value)

    if words is None:
        assert checked_settings().is_production
        return
    with pytest.raises(StartupError, match=re.escape(words)) as error:
        checked_settings()
    assert "hunter2" not in str(error.value)


def test_what_does_not_go_together_is_refused_without_showing_secrets() -> None:
    with pytest.raises(ValidationError) as error:
        Settings(environment=Environment.PRODUCTION, secret_key="hunter2" * 5)

    assert "AUTH=required" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_secrets_are_not_shown() -> None:
    secrets: dict[str, Any] = {
        "database_url": "postgres://brag:hunter2@localhost/brag",
        "openai_api_key": "sk-hunter2",
        "qdrant_api_key": "hunter2",
        "secret_key": "hunter2",
        "smtp_url": "smtp://brag:hunter2@localhost:587",
        "sentry_dsn": "https://hunter2@sentry.example/1",
    }

    assert "hunter2" not in repr(Settings(**secrets))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "eighty", "PORT: "),
        ("DATABASE_URL", "mysql://user:hunter2@host/db", "DATABASE_URL: must start with postgres"),
        ("DATABASE_URL", "postgres://brag:hunter#2@host/db", "DATABASE_URL: has no valid port"),
        ("DATABASE_URL", "postgres://brag:hunter2@host:x/db", "DATABASE_URL: has no valid port"),
        ("SENTRY_DSN", "sentry.example/hunter2", "SENTRY_DSN: must look like https://"),
        ("SENTRY_DSN", "https://hunter2@sentry.example", "SENTRY_DSN: must look like https://"),
        ("DATABASE_URL", "postgres://brag:[hunter2]@host/db", "DATABASE_URL: is not a valid URL"),
        ("PUBLIC_URL", "brag.example", "PUBLIC_URL: must look like https://"),
        ("PUBLIC_URL", "ftp://brag.example", "PUBLIC_URL: must look like https://"),
        ("PUBLIC_URL", "https://", "PUBLIC_URL: must look like https://"),
        ("PUBLIC_URL", "https://me:hunter2@brag.example", "PUBLIC_URL: must look like https://"),
        ("PUBLIC_URL", "https://brag.example/?a=b", "PUBLIC_URL: must look like https://"),
        ("PUBLIC_URL", "https://brag.example:x", "PUBLIC_URL: has no valid port"),
        ("PUBLIC_URL", "https://example.org/brag", "without a path: bRAG needs a host of its own"),
        ("SMTP_URL", "mail.example:587", "SMTP_URL: must look like smtp://"),
        ("SMTP_URL", "https://brag:hunter2@mail.example", "SMTP_URL: must look like smtp://"),
        ("SMTP_URL", "smtp://", "SMTP_URL: must look like smtp://"),
        ("SMTP_URL", "smtp://brag:hunter#2@mail.example", "SMTP_URL: has no valid port"),
        ("SMTP_URL", "smtp://brag:[hunter2]@mail.example", "SMTP_URL: is not a valid URL"),
        ("CORS_ORIGINS", "app.example", "CORS_ORIGINS: must be origins"),
        ("CORS_ORIGINS", "https://app.example/", "CORS_ORIGINS: must be origins"),
        ("CORS_ORIGINS", "https://*.example", "CORS_ORIGINS: must be origins"),
        ("CORS_ORIGINS", "https://a.example,null", "CORS_ORIGINS: must be origins"),
        ("CORS_ORIGINS", "https://app.example:99999", "CORS_ORIGINS: has no valid port"),
        ("AUTH", "on", "AUTH: "),
        ("REQUESTS_PER_MINUTE", "-1", "REQUESTS_PER_MINUTE: "),
        ("LOGIN_REQUESTS_PER_HOUR", "0", "LOGIN_REQUESTS_PER_HOUR: "),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL: must be one of"),
        ("ENVIRONMENT", "staging", "ENVIRONMENT: "),
        ("GENERATION_TIMEOUT_SEC", "0", "GENERATION_TIMEOUT_SEC: "),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(StartupError, match=words) as error:
        checked_settings()
    assert "hunter2" not in str(error.value)


def test_tokens_are_named_and_hidden() -> None:
    settings = Settings(source_tokens="work@github.com=ghp_x, Partner@GitLab.com=user:glpat=y")

    assert settings.source_tokens["work@github.com"].get_secret_value() == "ghp_x"
    assert settings.source_tokens["partner@gitlab.com"].get_secret_value() == "user:glpat=y"
    assert "ghp_x" not in repr(settings)


@pytest.mark.parametrize(
    "value", ["work@h", "@h=x", "work@h=", "a@h=b,c", "work=x", "a b@h=x", "work@=x"]
)
def test_tokens_without_a_name_a_host_or_a_value_are_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="name@host=token"):
        Settings(source_tokens=value)


def test_roots_are_absolute_folders() -> None:
    assert Settings(ingest_roots="/a, /b/c").ingest_roots == [Path("/a"), Path("/b/c")]
    with pytest.raises(ValidationError, match="absolute"):
        Settings(ingest_roots="docs")
