"""The worker as a process of its own: `python -m app.worker`, as many as needed."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext

from prometheus_client import start_http_server

from app.core.database import Database
from app.core.exceptions import AppError, StartupError
from app.core.logs import configure_logs
from app.core.metrics import REGISTRY, measure_stages
from app.core.reporting import report_errors
from app.core.sampling import sampled
from app.core.startup import checked_settings, require_free_port
from app.core.tracing import configure_tracing, shut_down_tracing
from app.resources.database import open_database
from app.worker.process import work
from settings import Settings


def main() -> None:
    """Work until SIGTERM or Ctrl-C; what prevents it is one plain sentence and exit code 1."""
    try:
        settings = checked_settings()
        configure_logs(level=settings.log_level, as_json=settings.is_production)
        report_errors(settings)
        configure_tracing()
        try:
            asyncio.run(_main(settings))
        finally:
            shut_down_tracing()
    except (AppError, StartupError) as error:
        print(error, file=sys.stderr)  # noqa: T201 -- for the person who started it
        sys.exit(1)


async def _main(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with _metrics(settings):
        async with open_database(settings) as database, _sampled(settings, database):
            await work(settings, database, stop)


@contextmanager
def _metrics(settings: Settings) -> Iterator[None]:
    """Tell a monitoring system what is counted here, if a port is set for it."""
    port = settings.worker_metrics_port
    if port is None:
        yield
        return
    require_free_port(settings.host, port)
    measure_stages()
    server, thread = start_http_server(port, settings.host, REGISTRY)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _sampled(settings: Settings, database: Database) -> AbstractAsyncContextManager[None]:
    return nullcontext() if settings.worker_metrics_port is None else sampled(database)


if __name__ == "__main__":
    main()
