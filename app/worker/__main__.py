"""The worker as a process of its own: `python -m app.worker`, as many as needed."""

import asyncio
import signal
import sys

from app.core.exceptions import AppError, StartupError
from app.core.logs import configure_logs
from app.core.startup import checked_settings
from app.resources.database import open_database
from app.worker.process import work
from settings import Settings


def main() -> None:
    """Work until SIGTERM or Ctrl-C; what prevents it is one plain sentence and exit code 1."""
    try:
        settings = checked_settings()
        configure_logs(level=settings.log_level, as_json=settings.is_production)
        asyncio.run(_main(settings))
    except (AppError, StartupError) as error:
        print(error, file=sys.stderr)  # noqa: T201 -- for the person who started it
        sys.exit(1)


async def _main(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_database(settings) as database:
        await work(settings, database, stop)


if __name__ == "__main__":
    main()
