"""The manifests: valid for Kubernetes, and in agreement with each other, the image and the code."""

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.core.startup import checked_settings
from settings import ROOT, Settings

JSON = dict[str, Any]
# Which every cluster that is still maintained knows.
VERSION = "1.34"
FILES = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
OBJECTS: list[JSON] = [one for file in FILES for one in yaml.safe_load_all(file.read_text())]
# What pods set that bRAG doesn't read itself.
OTHER_VARIABLES = {"FORWARDED_ALLOW_IPS", "POSTGRES_PASSWORD"}


def name_of(one: JSON) -> str:
    return f"{one['kind']} {one['metadata']['name']}"


def found(kind: str, name: str) -> JSON:
    [one] = [one for one in OBJECTS if name_of(one) == f"{kind} {name}"]
    return one


def pods() -> dict[str, JSON]:
    return {
        one["metadata"]["name"]: one["spec"]["template"]
        for one in OBJECTS
        if one["kind"] in {"Deployment", "StatefulSet"}
    }


def container(name: str) -> JSON:
    [one] = pods()[name]["spec"]["containers"]
    result: JSON = one
    return result


@pytest.mark.parametrize("one", OBJECTS, ids=name_of)
def test_a_manifest_is_valid(one: JSON) -> None:
    kubernetes_validate.validate(one, VERSION, strict=True)


def test_a_manifest_with_a_mistake_is_not() -> None:
    wrong = found("Deployment", "api") | {"spec": {"replica": 2}}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_everything_is_in_the_namespace() -> None:
    namespace = found("Namespace", "brag")["metadata"]["name"]

    for one in OBJECTS:
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == namespace


@pytest.mark.parametrize("name", ["api", "worker", "postgres", "qdrant"])
def test_a_pod_runs_as_somebody_with_no_privileges(name: str) -> None:
    pod, running = pods()[name]["spec"], container(name)

    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert running["securityContext"]["allowPrivilegeEscalation"] is False
    assert running["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"requests", "limits"} <= running["resources"].keys()


@pytest.mark.parametrize("name", ["api", "worker"])
def test_a_pod_of_brag_fits_the_image(name: str) -> None:
    pod, running = pods()[name]["spec"], container(name)
    dockerfile = (ROOT / "Dockerfile").read_text()
    makefile = (ROOT / "Makefile").read_text()

    [user] = re.findall(r"^USER (\d+)$", dockerfile, re.MULTILINE)
    assert pod["securityContext"]["runAsUser"] == int(user)
    command, target = running["args"]
    assert command == "make"
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    assert running["securityContext"]["readOnlyRootFilesystem"]
    mounts = {mount["mountPath"] for mount in running["volumeMounts"]}
    assert {"/tmp", "/brag/var/metrics", "/brag/var/tmp"} <= mounts
    # The model is in the image: nothing may be mounted over it.
    assert not {"/brag", "/brag/var", "/brag/var/models"} & mounts
    assert running["image"] == container("api")["image"]
    assert pod["enableServiceLinks"] is False, "names of services are names of settings, too"


def test_selectors_find_their_pods_and_ports_their_containers() -> None:
    for one in OBJECTS:
        spec = one.get("spec", {})
        selector = spec.get("selector", {})
        labels = selector.get("matchLabels", selector)
        if not labels:
            continue
        fitting = [
            name
            for name, pod in pods().items()
            if labels.items() <= pod["metadata"]["labels"].items()
        ]
        assert len(fitting) == 1, name_of(one)
        if one["kind"] == "Service":
            names = {port["name"] for port in container(fitting[0])["ports"]}
            assert {port["targetPort"] for port in spec["ports"]} <= names


def test_metrics_are_not_for_the_outside() -> None:
    [ingress] = [one for one in OBJECTS if one["kind"] == "Ingress"]
    for rule in ingress["spec"]["rules"]:
        # The longest path that fits is taken.
        [path] = [path for path in rule["http"]["paths"] if path["path"] == "/metrics"]
        assert path["pathType"] == "Prefix"
        service = found("Service", path["backend"]["service"]["name"])
        assert not {"selector", "externalName"} & service["spec"].keys()


@pytest.mark.parametrize("words", ["location = /metrics { return 404; }", "respond /metrics 404"])
def test_the_examples_of_proxies_keep_metrics_in(words: str) -> None:
    assert words in (ROOT / "docs" / "deployment.md").read_text()


def test_what_refers_to_something_by_name_finds_it() -> None:
    [ingress] = [one for one in OBJECTS if one["kind"] == "Ingress"]
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    service = found("Service", backend["name"])
    assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}

    scaled = found("HorizontalPodAutoscaler", "api")["spec"]["scaleTargetRef"]
    assert found(scaled["kind"], scaled["name"])

    for name in ("api", "worker"):
        for source in container(name)["envFrom"]:
            [(kind, reference)] = source.items()
            assert found(
                {"configMapRef": "ConfigMap", "secretRef": "Secret"}[kind], reference["name"]
            )


def test_probes_ask_for_routes_that_are_there() -> None:
    probes = {
        name: container("api")[f"{name}Probe"] for name in ("startup", "liveness", "readiness")
    }
    paths = {name: probe["httpGet"]["path"] for name, probe in probes.items()}
    routes = (ROOT / "app/core/api.py").read_text()

    assert paths == {
        "startup": "/healthcheck",
        "liveness": "/healthcheck",
        "readiness": "/readiness",
    }
    for path in paths.values():
        assert f'@router.get("{path}"' in routes
    # Migrations may take so long: app/core/migrations.py.
    assert probes["startup"]["periodSeconds"] * probes["startup"]["failureThreshold"] > 300


def test_an_api_pod_has_time_to_stop() -> None:
    before = container("api")["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert pods()["api"]["spec"]["terminationGracePeriodSeconds"] > before + 10


def test_the_example_secret_holds_no_secret() -> None:
    assert not any(found("Secret", "brag")["stringData"].values())


def test_the_settings_of_the_pods_are_ones_that_brag_starts_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = found("ConfigMap", "brag")["data"]
    secrets = {
        "SECRET_KEY": "0" * 64,
        "DATABASE_URL": "postgres://brag:secret@postgres:5432/brag?sslmode=disable",
        "POSTGRES_PASSWORD": "secret",
    }
    assert secrets.keys() == found("Secret", "brag")["stringData"].keys()

    monkeypatch.setenv("ENVIRONMENT", "production")
    for name, value in (config | secrets).items():
        assert name in OTHER_VARIABLES or name.lower() in Settings.model_fields, name
        monkeypatch.setenv(name, value)

    settings = checked_settings()
    assert settings.processes == int(config["WORKERS"])
    # Both are services of these manifests.
    assert found("Service", "qdrant")
    assert found("Service", "postgres")
