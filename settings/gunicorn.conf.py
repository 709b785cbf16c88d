"""gunicorn's configuration: `gunicorn --config settings/gunicorn.conf.py`."""

import os
import shutil
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]  # neither has types
from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]

from app.core.exceptions import StartupError
from app.core.logs import configure_logs
from app.core.open_files import allow_connections
from app.core.serving import SERVER_OPTIONS
from app.core.startup import checked_settings, require_free_port
from app.resources.database import own_database

try:
    settings = checked_settings()
except StartupError as error:
    sys.exit(str(error))

# What workers count is added up from files in a folder of this gunicorn's: prometheus_client looks
# for this variable when it is imported, which workers do. After a SIGHUP it is the same folder;
# another gunicorn, one that takes over for instance, has its own.
METRICS_DIR = settings.var_dir / "metrics"
HOST = socket.gethostname()
metrics_dir = METRICS_DIR / f"{HOST}-{os.getpid()}"
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_dir)

wsgi_app = "app.main:create_app()"
host = f"[{settings.host}]" if ":" in settings.host else settings.host
bind = f"{host}:{settings.port}"
workers = settings.processes
timeout = settings.timeout
reload = settings.reload
loglevel = settings.log_level
# It would stand in the home folder, one for all gunicorns of a user.
control_socket_disable = True
# Then a worker that was asked to stop is killed: well after it has cut off its streams.
graceful_timeout = 30


class Worker(UvicornWorker):  # type: ignore[misc]
    """Cuts off the streams that are still open some seconds after it was asked to stop."""

    CONFIG_KWARGS = UvicornWorker.CONFIG_KWARGS | SERVER_OPTIONS


class ServerLogger(Logger):  # type: ignore[misc]
    """Writes gunicorn's own lines like all others."""

    def setup(self, cfg: Any) -> None:
        """Configure the logs of the parent, once more after a SIGHUP."""
        super().setup(cfg)
        configure_logs(level=settings.log_level, as_json=settings.is_production)


worker_class = Worker
logger_class = ServerLogger


def on_starting(server: Any) -> None:
    """Start the embedded PostgreSQL, if it is used, for as long as gunicorn runs.

    Workers come and go; with the parent as a user it doesn't stop between two of them.
    """
    # Kept on the server: this file is executed again after a SIGHUP.
    server.held = ExitStack()
    allow_connections()
    try:
        # A second gunicorn that takes over from this one (SIGUSR2) gets its socket.
        if not server.master_pid:
            require_free_port(settings.host, settings.port)
        server.held.enter_context(own_database(settings))
    except StartupError as error:
        sys.exit(str(error))
    _empty_metrics()


def child_exit(server: Any, worker: Any) -> None:  # noqa: ARG001 -- gunicorn's signature
    """Forget what a worker has open that has ended; what it has counted stays."""
    # Its import has to wait for the variable above.
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Let it stop."""
    server.held.close()
    shutil.rmtree(metrics_dir, ignore_errors=True)


def _empty_metrics() -> None:
    """Begin with an empty folder, and remove those of gunicorns that are dead."""
    METRICS_DIR.mkdir(parents=True, exist_ok=True)
    for folder in METRICS_DIR.glob(f"{HOST}-*"):
        if folder == metrics_dir or not _is_alive(folder):
            shutil.rmtree(folder, ignore_errors=True)
    metrics_dir.mkdir()


def _is_alive(folder: Path) -> bool:
    try:
        os.kill(int(folder.name.rpartition("-")[2]), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True
