"""Sending traces to an OTLP receiver over HTTP, without a word for each time that it is away."""

import logging
import time
from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

__all__ = ["QuietExporter"]

logger = logging.getLogger(__name__)

SAY_AGAIN_SEC: Final = 300


class QuietExporter(SpanExporter):
    """Says once in five minutes that traces are lost; what OpenTelemetry says of it is left out."""

    def __init__(self) -> None:
        """Read from the environment where to send them."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter = OTLPSpanExporter()
        self._said_at = -float(SAY_AGAIN_SEC)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, in a thread of their own."""
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            now = time.monotonic()
            if now - self._said_at >= SAY_AGAIN_SEC:
                self._said_at = now
                logger.warning("traces can't be sent and are lost: check OTEL_EXPORTER_OTLP_*")
        return result

    def shutdown(self) -> None:
        """Send no more."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept here."""
        return self._exporter.force_flush(timeout_millis)
