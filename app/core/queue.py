"""What the job queue says of itself."""

from dataclasses import dataclass

from app.core.database import Queries

__all__ = ["QueueDepth", "QueueStatus", "read_queue"]


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """One queue: jobs that wait, jobs that run, and how long the first has waited, in seconds."""

    queue: str
    waiting: int
    running: int
    oldest_sec: float


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """All queues, and who works on them. One process has a worker for each queue."""

    depths: list[QueueDepth]
    workers: int
    # Since the last worker was heard of; None without any.
    heartbeat_sec: float | None

    def describe(self) -> str:
        """Say it in a sentence."""
        waiting = sum(depth.waiting for depth in self.depths)
        oldest = max((depth.oldest_sec for depth in self.depths), default=0)
        jobs = f"{waiting} jobs wait, the first for {oldest:.0f} s" if waiting else "no job waits"
        if not self.workers:
            return f"No worker runs; {jobs}."
        return f"{jobs[0].upper()}{jobs[1:]}."


def read_queue(queries: Queries) -> QueueStatus:
    """Read the state of all queues."""
    depths = [QueueDepth(**row) for row in queries.queue_depths()]
    return QueueStatus(depths, **queries.live_workers())
