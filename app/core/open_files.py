"""How many connections a process can have open: each is a file to the operating system."""

import resource
from typing import Final

__all__ = ["allow_connections", "max_connections"]

WANTED_FILES: Final = 16_384
# Those that are nobody's connection: the database's, the index's, logs.
RESERVED_FILES: Final = 128
MIN_CONNECTIONS: Final = 64


def max_connections() -> int:
    """Return how many connections this process can serve, with files left for other things."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return WANTED_FILES
    return max(MIN_CONNECTIONS, min(soft, WANTED_FILES) - RESERVED_FILES)


def allow_connections() -> None:
    """Let this process, and those that it starts, have as many open files as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
