"""What a monitoring system collects, in Prometheus' text format."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.core.models import PartStatus
from app.core.queue import QueueStatus

__all__ = ["CONTENT_TYPE", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(parts: dict[str, PartStatus], queue: QueueStatus | None) -> bytes:
    """Encode what is known now; `queue` is None when the database can't be asked."""
    registry = CollectorRegistry()
    registry.register(_Gauges(_gauges(parts, queue)))
    return generate_latest(registry)


class _Gauges(Collector):
    def __init__(self, gauges: Iterable[GaugeMetricFamily]) -> None:
        self._gauges = list(gauges)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return what was collected beforehand."""
        return self._gauges


def _gauges(parts: dict[str, PartStatus], queue: QueueStatus | None) -> Iterator[GaugeMetricFamily]:
    up = GaugeMetricFamily("brag_part_up", "Whether a part works", labels=["part"])
    for name, part in parts.items():
        up.add_metric([name], part.status == "ok")
    yield up
    index = parts["index"]
    if index.lag_changes is not None:
        yield GaugeMetricFamily(
            "brag_index_lag_changes", "Changes that this index has yet to follow", index.lag_changes
        )
    if index.lag_seconds is not None:
        yield GaugeMetricFamily(
            "brag_index_lag_seconds", "Since the first of them waits", index.lag_seconds
        )
    if queue is not None:
        yield from _queue_gauges(queue)


def _queue_gauges(queue: QueueStatus) -> Iterator[GaugeMetricFamily]:
    jobs = GaugeMetricFamily("brag_jobs", "Jobs by queue and state", labels=["queue", "state"])
    oldest = GaugeMetricFamily(
        "brag_oldest_job_seconds",
        "How long the first job has waited that could be done",
        labels=["queue"],
    )
    for depth in queue.depths:
        jobs.add_metric([depth.queue, "waiting"], depth.waiting)
        jobs.add_metric([depth.queue, "running"], depth.running)
        oldest.add_metric([depth.queue], depth.oldest_sec)
    yield jobs
    yield oldest
    yield GaugeMetricFamily(
        "brag_workers", "Workers heard of in the last minute, one per queue", queue.workers
    )
    if queue.heartbeat_sec is not None:
        yield GaugeMetricFamily(
            "brag_worker_heartbeat_seconds",
            "Since the last worker was heard of",
            queue.heartbeat_sec,
        )
