"""What a monitoring system collects, in Prometheus' text format."""

import os
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from app.core.metrics import REGISTRY
from app.core.models import PartStatus
from app.core.queue import QueueStatus

__all__ = ["CONTENT_TYPE", "MULTIPROCESS_DIR", "render", "render_counted"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# prometheus_client's own name for it
MULTIPROCESS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"


def render(parts: dict[str, PartStatus], queue: QueueStatus | None) -> bytes:
    """Encode what was counted, and what is known now; blocks.

    `queue` is None when the database can't be asked.
    """
    registry = CollectorRegistry()
    registry.register(_Gauges(_gauges(parts, queue)))
    return render_counted() + generate_latest(registry)


def render_counted() -> bytes:
    """Encode what was counted, by all processes of a gunicorn together; blocks."""
    registry = REGISTRY
    if os.environ.get(MULTIPROCESS_DIR):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
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
