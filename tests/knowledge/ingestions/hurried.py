"""bRAG's own programs, in a hurry: `python -m tests.knowledge.ingestions.hurried worker|serve`.

They miss a dead worker within seconds, where its users have half a minute's patience.
"""

import functools
import sys
from unittest import mock

from app.worker import process
from app.worker.engine import run_worker
from app.worker.tasks import Timing

__all__ = ["HURRY"]

HURRY = Timing(heartbeat=0.5, stalled=3, sweep=1, poll=0.2, first_retry=0.5)


def main(program: str) -> None:
    """Run a program to its end."""
    hurried = functools.partial(run_worker, timing=HURRY)
    with mock.patch.object(process, "run_worker", hurried):
        if program == "worker":
            from app.worker.__main__ import main as work  # noqa: PLC0415 -- one of two

            work()
        else:
            from app.__main__ import cli  # noqa: PLC0415

            cli([program])


if __name__ == "__main__":
    main(sys.argv[1])
