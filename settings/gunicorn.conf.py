"""gunicorn's configuration: `gunicorn --config settings/gunicorn.conf.py`."""

import sys
from contextlib import ExitStack
from typing import Any

from app.core.exceptions import StartupError
from app.core.startup import checked_settings, require_free_port
from app.resources.database import own_database

try:
    settings = checked_settings()
    require_free_port(settings.host, settings.port)
except StartupError as error:
    sys.exit(str(error))

wsgi_app = "app.main:create_app()"
worker_class = "uvicorn_worker.UvicornWorker"
bind = f"{settings.host}:{settings.port}"
workers = settings.workers
timeout = settings.timeout
reload = settings.reload
# Streams that are open when gunicorn is asked to stop get this long to end.
graceful_timeout = 10

_held = ExitStack()


def on_starting(_server: Any) -> None:
    """Start the embedded PostgreSQL, if it is used, for as long as gunicorn runs.

    Workers come and go; with the parent as a user it doesn't stop between two of them.
    """
    try:
        _held.enter_context(own_database(settings))
    except StartupError as error:
        sys.exit(str(error))


def on_exit(_server: Any) -> None:
    """Let it stop."""
    _held.close()
