"""The Dockerfile: what it copies, whom it runs as, and what it starts, are there and agree."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from settings import ROOT, Settings

Stage = list[tuple[str, str]]


def stages() -> dict[str, Stage]:
    """Return the instructions of each stage, as names and arguments."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    found: dict[str, Stage] = {}
    for line in filter(None, lines):
        name, arguments = line.split(" ", 1)
        if name == "FROM":
            found[arguments.rpartition(" AS ")[2] if " AS " in arguments else "image"] = []
        list(found.values())[-1].append((name, arguments))
    return found


def of(stage: Stage, name: str) -> list[str]:
    return [arguments for one, arguments in stage if one == name]


def copied(stage: Stage) -> Iterator[str]:
    """Yield what a stage copies from the repository."""
    for arguments in of(stage, "COPY"):
        if not arguments.startswith("--from"):
            yield from arguments.split()[:-1]


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a file out: the last line that fits it decides."""
    own = Path(path)
    places = [own, *own.parents][:-1]
    result = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if pattern.startswith("**/"):
            fits = any(place.match(pattern.removeprefix("**/")) for place in places)
        else:
            fits = pattern == "*" or Path(pattern) in places
        if fits:
            result = not line.startswith("!")
    return result


def test_what_is_copied_is_there_and_not_kept_out() -> None:
    paths = [path for stage in stages().values() for path in copied(stage)]

    assert {"Makefile", "app", "db", "settings"} <= set(paths)
    for path in paths:
        assert (ROOT / path).exists(), path
        assert not ignored(path), path


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".env",
        ".env.production",
        ".venv/installed",
        "var/postgres/cluster/base",
        "tests/conftest.py",
        "requirements/requirements-dev.txt",
        "app/core/__pycache__/api.cpython-311.pyc",
        "backup.dump",
        "deploy/kubernetes/secret.yaml",
    ],
)
def test_secrets_data_and_what_only_development_needs_are_kept_out(path: str) -> None:
    assert ignored(path)


def test_everything_that_is_imported_is_in_the_image() -> None:
    """Of the repository's own packages; the rest comes from requirements.txt."""
    build, image = stages()["build"], stages()["image"]
    taken = {argument.split()[1] for argument in of(image, "COPY") if "--from" in argument}

    for path in copied(build):
        # The folder of the file that it is.
        parts = {str(parent) for parent in Path(path).parents} | {path}
        assert any(f"/brag/{part}" in taken for part in parts), path


def test_the_image_runs_as_somebody_who_may_write_below_var_only() -> None:
    image = stages()["image"]
    [user] = of(image, "USER")
    [setup] = of(image, "RUN")

    # Kubernetes believes only a number not to be root.
    assert int(user) > 0
    assert f"useradd --uid {user} " in setup
    owned = re.search(r"install -d -o brag -g brag (.*)$", setup)
    assert owned
    folders = ("metrics", "postgres", "qdrant", "tmp")
    assert owned[1].split() == [f"/brag/var/{name}" for name in folders]
    assert not any("--chown" in arguments for arguments in of(image, "COPY"))


def test_what_make_compares_comes_from_one_stage() -> None:
    """Else packages would be installed again when the container starts, if they could."""
    for path in (".venv", "requirements", "var/models"):
        assert f"--from=build /brag/{path} {path}" in of(stages()["image"], "COPY")


def test_the_command_is_a_target_and_the_port_is_the_default() -> None:
    image = stages()["image"]
    [command] = of(image, "CMD")
    [port] = of(image, "EXPOSE")
    [variables] = of(image, "ENV")
    [check] = of(image, "HEALTHCHECK")
    known = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert command == '["make", "run"]'
    assert re.search(r"\brun\b", known)
    assert int(port) == Settings.model_fields["port"].default
    assert f"PORT={port}" in variables
    assert "/healthcheck" in check
    for name in re.findall(r"(\w+)=", variables):
        assert name.lower() in Settings.model_fields
