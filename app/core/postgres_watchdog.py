"""Stops the embedded PostgreSQL once nobody uses it, even when its last user was killed.

Four lock files in the data directory say all there is to know. They are held by `flock`, so the
kernel lets go of them when their last holder dies, and no stale process id can mislead anyone:

start.lock     held while a process starts PostgreSQL
users.lock     shared by all who use PostgreSQL, exclusive to whoever stops it
server.lock    handed down to PostgreSQL itself: free means that none of its processes is left
watchdog.lock  held by the watchdog

The watchdog is a small process of its own: `python -I -S postgres_watchdog.py DATA_DIR LOCK_FD`.
It waits for `users.lock`. So this file imports the standard library only, and little of it.
"""

import fcntl
import math
import os
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = [
    "CLUSTER",
    "PORT",
    "SERVER_LOCK",
    "SOCKET_NAME",
    "USERS_LOCK",
    "open_own_file",
    "socket_dir",
    "stop_server",
    "stop_unused_server",
    "try_lock",
]

PORT = 5432  # names the socket file; nothing listens on TCP
SOCKET_NAME = f".s.PGSQL.{PORT}"
CLUSTER = "cluster"
USERS_LOCK = "users.lock"
SERVER_LOCK = "server.lock"

_POLL_SEC = 0.01
_CONNECT_TIMEOUT_SEC = 5.0
_MACOS_SOL_LOCAL, _MACOS_LOCAL_PEERPID = 0, 2


def open_own_file(path: Path, flags: int = 0, mode: int = 0o600) -> int:
    """Open or create `path` for writing without following a symlink; returns the descriptor.

    What root creates goes to the directory's owner, so that a `sudo` does not lock them out.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | flags, mode)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def try_lock(descriptor: int, operation: int) -> bool:
    """Take `LOCK_SH` or `LOCK_EX` if that needs no waiting.

    Locks end with `os.close` only: `LOCK_UN` would take them from a forked child or parent too.
    """
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def socket_dir(data_dir: Path) -> Path:
    """Where PostgreSQL's socket is: behind a link, in a directory new to each run."""
    link = data_dir / "socket"
    return link.readlink() if link.is_symlink() else link


def _postmaster_pid(data_dir: Path) -> int | None:
    """Find the postmaster, while some process of PostgreSQL's holds `server.lock`.

    The kernel knows who listens. The pid in postmaster.pid may be a killed postmaster's and by now
    somebody else's; not so while there is no socket: then it is starting, or others removed it.
    """
    path = socket_dir(data_dir) / SOCKET_NAME
    if not path.exists():
        with suppress(OSError, ValueError, IndexError):
            return int((data_dir / CLUSTER / "postmaster.pid").read_text().split()[0])
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_CONNECT_TIMEOUT_SEC)
        try:
            connection.connect(str(path))
        except OSError:
            return None
        if sys.platform == "linux":
            peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        else:
            peer = connection.getsockopt(_MACOS_SOL_LOCAL, _MACOS_LOCAL_PEERPID, 4)
        return int(struct.unpack_from("i", peer)[0]) or None


def stop_server(data_dir: Path, deadline: float = math.inf) -> None:
    """Shut PostgreSQL down and wait for the end of its last process; hold `users.lock` for this.

    `deadline` is in `time.monotonic` seconds; PostgreSQL goes on shutting down after it.
    """
    pid = None
    server = open_own_file(data_dir / SERVER_LOCK)
    try:
        while not try_lock(server, fcntl.LOCK_SH):
            if time.monotonic() > deadline:
                return
            # None while a postmaster is still starting, or when only its orphans are left.
            if pid is None and (pid := _postmaster_pid(data_dir)) is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)  # "fast": no waiting for connections
            time.sleep(_POLL_SEC)
        with suppress(OSError):  # after a crash it is not empty, and the next run goes on with it
            socket_dir(data_dir).rmdir()
            (data_dir / "socket").unlink()
    finally:
        os.close(server)


def stop_unused_server(data_dir: Path, timeout_sec: float) -> None:
    """Stop PostgreSQL, or wait for the watchdog to do so, unless somebody still uses it."""
    deadline = time.monotonic() + timeout_sec
    users = open_own_file(data_dir / USERS_LOCK)
    try:
        while not try_lock(users, fcntl.LOCK_EX):
            if try_lock(users, fcntl.LOCK_SH) or time.monotonic() > deadline:
                return
            time.sleep(_POLL_SEC)
        stop_server(data_dir, deadline)
    finally:
        os.close(users)


def _watch(data_dir: Path, own_lock: int) -> None:
    with suppress(OSError):  # for people; nothing here reads it
        os.write(own_lock, f"{os.getpid()}\n".encode())
    path = data_dir / USERS_LOCK
    users = open_own_file(path)
    fcntl.flock(users, fcntl.LOCK_EX)
    # Somebody may have removed the directory and started another PostgreSQL in its place.
    if path.exists() and os.path.samestat(os.fstat(users), path.stat()):
        stop_server(data_dir)
    os.close(own_lock)  # before `users`: the next user must see that there is no watchdog


if __name__ == "__main__":
    _watch(Path(sys.argv[1]), int(sys.argv[2]))
