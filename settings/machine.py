"""What this process may use of its machine: less than all of it in a container."""

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["usable_cores", "usable_memory_bytes"]

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = CGROUPS, own_cgroup: Path = OWN_CGROUP) -> int:
    """Return how many cores this process may keep busy, at least one."""
    # Only Linux tells which cores a process is kept to.
    is_told = hasattr(os, "sched_getaffinity")
    cores = float(len(os.sched_getaffinity(0)) if is_told else os.cpu_count() or 1)
    for quota, *period in _limits("cpu.max", cgroups, own_cgroup):
        cores = min(cores, int(quota) / int(period[0]))
    return max(1, int(cores))


def usable_memory_bytes(cgroups: Path = CGROUPS, own_cgroup: Path = OWN_CGROUP) -> int:
    """Return how much memory this process and its siblings may use together."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = (int(limit) for limit, *_ in _limits("memory.max", cgroups, own_cgroup))
    return min((memory, *limits))


def _limits(name: str, cgroups: Path, own_cgroup: Path) -> Iterator[list[str]]:
    """Yield the limits of this process's control group (version 2) and of those around it."""
    try:
        own = own_cgroup.read_text().partition("0::/")[2].strip()
    except OSError:
        return
    group = cgroups / own
    for folder in (group, *group.parents):
        if not folder.is_relative_to(cgroups):
            break
        try:
            limit = (folder / name).read_text().split()
        except OSError:
            # The outermost group has none, nor has a machine without control groups.
            continue
        if limit and limit[0] != "max":
            yield limit
