"""How many processes serve: by what this machine, or the container on it, may use."""

import os
from pathlib import Path

import pytest

from settings import Settings
from settings.machine import usable_cores, usable_memory_bytes

GIB = 1024**3


def limits(tmp_path: Path, **files: str) -> tuple[Path, Path]:
    """Write control groups as the kernel shows them, with this process in `outer/inner`."""
    (tmp_path / "groups" / "outer" / "inner").mkdir(parents=True)
    for place, text in files.items():
        folder, _, name = place.rpartition("__")
        path = tmp_path / "groups" / folder.replace("__", "/") / name.replace("_", ".")
        path.write_text(text)
    own = tmp_path / "cgroup"
    own.write_text("4:memory:/elsewhere\n0::/outer/inner\n")
    return tmp_path / "groups", own


def test_a_process_may_use_the_cores_it_is_kept_to_and_all_memory_of_the_machine(
    tmp_path: Path,
) -> None:
    nothing = tmp_path / "nothing"
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    assert usable_cores(nothing, nothing) == len(os.sched_getaffinity(0))
    assert usable_memory_bytes(nothing, nothing) == total


def test_the_tightest_limit_of_all_groups_around_a_process_holds(tmp_path: Path) -> None:
    groups, own = limits(
        tmp_path,
        outer__cpu_max="100000 100000\n",
        outer__inner__cpu_max="max 100000\n",
        outer__memory_max="1073741824\n",
        outer__inner__memory_max="2147483648\n",
    )

    assert usable_cores(groups, own) == 1
    assert usable_memory_bytes(groups, own) == GIB


def test_half_a_core_is_enough_for_one_process(tmp_path: Path) -> None:
    assert usable_cores(*limits(tmp_path, outer__inner__cpu_max="50000 100000\n")) == 1


@pytest.mark.parametrize(
    ("cores", "memory_gib", "pool_size", "processes"),
    [
        (1, 16, 10, 1),
        (2, 16, 10, 2),
        # 768 MB each
        (4, 2, 10, 2),
        (4, 0.5, 10, 1),
        # 100 connections for all
        (64, 64, 10, 5),
        (64, 64, 4, 10),
        (64, 64, 100, 1),
    ],
)
def test_unless_told_otherwise_there_is_a_process_for_each_core_if_it_fits(
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    memory_gib: float,
    pool_size: int,
    processes: int,
) -> None:
    monkeypatch.setattr("settings.base.usable_cores", lambda: cores)
    monkeypatch.setattr("settings.base.usable_memory_bytes", lambda: int(memory_gib * GIB))

    assert Settings(database_pool_size=pool_size).processes == processes
    assert Settings(database_pool_size=pool_size, workers=7).processes == 7
