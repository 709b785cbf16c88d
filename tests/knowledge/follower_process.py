"""A process with a replica of its own: `python -m tests.knowledge.follower_process ROOT`.

The database's URL is in the environment. The process says which slot it has, follows until its
standard input ends, catches up, and prints the ids that it holds. With --die it kills itself in the
moment between applying changes and remembering that; with --optimise it wants its index optimised
after every change.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from app.core.database import Database
from app.knowledge import edge_index
from app.knowledge.edge_index import EdgeIndex
from app.knowledge.follower import Follower
from app.knowledge.index_source import read_spec
from app.knowledge.vector_index import Position
from tests.knowledge.index_support import DIMENSIONS, ENCODER, MODEL, ids_in


class DyingIndex(EdgeIndex):
    """Doesn't live to remember."""

    async def remember(self, position: Position, *, caught_up: bool = False) -> None:
        """Die, as by a kill -9."""
        os.kill(os.getpid(), signal.SIGKILL)


def say(line: str) -> None:
    """Tell the test."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(root: Path, url: str, *, die: bool, optimise: bool) -> None:
    """Follow."""
    edge_index.FIRST_BUILD_AFTER_SEC = 0  # type: ignore[misc] # not so final here
    database = Database(url, pool_size=2)
    spec = await database.run(read_spec, MODEL, DIMENSIONS)
    index = await (DyingIndex if die else EdgeIndex).open(
        root, spec, database_url=url, optimise_after=1 if optimise else 1_000_000
    )
    follower = Follower(database, index, ENCODER)
    await follower.start()
    say(index._slot.folder.name)
    await asyncio.to_thread(sys.stdin.read)
    await follower.caught_up()
    say(json.dumps(sorted(map(str, ids_in(index)))))
    await follower.aclose()
    await index.aclose()
    database.close()


if __name__ == "__main__":
    asyncio.run(
        main(
            Path(sys.argv[1]),
            os.environ["DATABASE_URL"],
            die="--die" in sys.argv,
            optimise="--optimise" in sys.argv,
        )
    )
