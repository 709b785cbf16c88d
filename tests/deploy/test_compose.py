"""docker-compose.yml: two profiles, each with all that it needs, and settings that exist."""

import re
from typing import Any

import yaml

from settings import ROOT, Settings

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OWN = [service for service in SERVICES.values() if "build" in service]


def of_profile(profile: str) -> set[str]:
    return {name for name, service in SERVICES.items() if profile in service["profiles"]}


def test_the_smallest_set_is_one_service_and_the_full_one_all_others() -> None:
    assert of_profile("small") == {"brag"}
    assert of_profile("full") == {"api", "worker", "database", "qdrant"}
    assert of_profile("small") | of_profile("full") == SERVICES.keys()


def test_a_service_depends_on_services_of_its_profile_which_tell_their_health() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert SERVICES[other]["profiles"] == service["profiles"], name
            assert how == {"condition": "service_healthy"}
            assert "test" in SERVICES[other]["healthcheck"]


def test_volumes_are_declared_and_all_are_used() -> None:
    used = {
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
    }

    assert used == COMPOSE["volumes"].keys()


def test_what_the_embedded_parts_write_is_on_a_volume_or_in_memory() -> None:
    folders = {volume.partition(":")[2] for volume in SERVICES["brag"]["volumes"]}
    settings = Settings()

    assert folders == {
        f"/brag/{path.relative_to(ROOT)}" for path in (settings.postgres_dir, settings.qdrant_dir)
    }
    for service in OWN:
        assert service["read_only"]
        in_memory = {mount.partition(":")[0] for mount in service["tmpfs"]}
        assert in_memory == {"/tmp", "/brag/var/metrics", "/brag/var/tmp"}


def test_every_variable_is_a_setting_and_secrets_are_not_written_down() -> None:
    for service in OWN:
        for name, value in service["environment"].items():
            assert name.lower() in Settings.model_fields, name
            if name in {"SECRET_KEY", "DATABASE_URL"}:
                assert re.search(r"\$\{\w+", value), name
        assert service["environment"]["AUTH"] == "required"
    # None of these is known to whoever reads the file.
    assert SERVICES["database"]["environment"]["POSTGRES_PASSWORD"].startswith("${")


def test_stopping_takes_longer_than_brag_needs() -> None:
    for service in OWN:
        assert int(service["stop_grace_period"].removesuffix("s")) > 10
