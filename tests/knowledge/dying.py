"""A server that is killed while it takes a document in: `python -m tests.knowledge.dying`.

`DIES` says when: `before` what it has done is committed, or `after` that.
"""

import os
import runpy
import signal
import sys
from typing import Any

from app.core.database import Database
from app.knowledge.documents import services


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_at(when: str) -> None:
    accept, run_sync = services._accept, Database.run_sync

    def dying_accept(*args: Any) -> Any:
        accept(*args)
        _die()

    def dying_run(self: Database, fn: Any, *args: Any, **kwargs: Any) -> Any:
        result = run_sync(self, fn, *args, **kwargs)
        if fn is accept:
            _die()
        return result

    if when == "before":
        services._accept = dying_accept  # type: ignore[assignment]
    else:
        Database.run_sync = dying_run  # type: ignore[method-assign]


if __name__ == "__main__":
    _die_at(os.environ["DIES"])
    sys.argv = ["app", "serve"]
    runpy.run_module("app", run_name="__main__", alter_sys=True)
