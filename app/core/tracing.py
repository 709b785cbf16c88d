"""Traces, by OpenTelemetry's standard environment variables; off unless an endpoint is set.

A request and a job have a span each, and so has each of their stages (`stages.py`). The tracer is
ours alone, not the process's: what frameworks would tell of requests has paths and queries in it,
and so people's words. For the same reason spans never have the message of an exception.
"""

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from app.core.logs import log_fields
from app.core.stages import Fact, Timed, listen

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

__all__ = ["configure_tracing", "current_traceparent", "fail", "shut_down_tracing", "traced"]

logger = logging.getLogger(__name__)

SERVICE: Final = "brag"
# Of what is still to be sent when a process ends; SIGTERM must not take long.
LAST_EXPORT_SEC: Final = 3
PROTOCOL: Final = "http/protobuf"

# One per process, as the environment is.
_provider: "TracerProvider | None" = None
_tracer: "Tracer | None" = None


def configure_tracing() -> None:
    """Trace from now on, if the environment says where to send traces."""
    global _provider, _tracer  # noqa: PLW0603 -- one per process
    if _tracer is not None or not _is_wanted():
        return
    # They take a fifth of a second to load.
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    from app.core.trace_export import QuietExporter  # noqa: PLC0415

    # Whatever OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say comes before the name here.
    named = Resource({SERVICE_NAME: SERVICE}).merge(Resource.create())
    if str(named.attributes[SERVICE_NAME]).startswith("unknown_service"):
        named = named.merge(Resource({SERVICE_NAME: SERVICE}))
    _provider = TracerProvider(resource=named, shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(QuietExporter()))
    _tracer = _provider.get_tracer("brag")
    listen(_trace)


def shut_down_tracing() -> None:
    """Send what there is, in `LAST_EXPORT_SEC` at most, and trace no more; blocks."""
    global _provider, _tracer
    provider, _provider, _tracer = _provider, None, None
    if provider is not None:
        # An exporter that waits for a receiver would be waited for.
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(LAST_EXPORT_SEC)


@contextmanager
def traced(
    name: str,
    *,
    server: bool,
    parent: str | None = None,
    facts: Mapping[str, Fact] | None = None,
) -> Iterator["Span | None"]:
    """Have a span around a request (`server`) or a job, and its trace's id in logs.

    `parent` is a `traceparent`, which anybody may have made up. Yields None without tracing.
    """
    if _tracer is None:
        yield None
        return
    from opentelemetry import context, trace  # noqa: PLC0415 -- loaded by now

    span = _tracer.start_span(
        name,
        context=_context_of(parent),
        kind=trace.SpanKind.SERVER if server else trace.SpanKind.CONSUMER,
        attributes=facts,
    )
    token = context.attach(trace.set_span_in_context(span))
    trace_id = trace.format_trace_id(span.get_span_context().trace_id)
    fields = log_fields.set({**log_fields.get(), "trace_id": trace_id})
    try:
        yield span
    except Exception as error:
        fail(span, error)
        raise
    finally:
        span.end()
        log_fields.reset(fields)
        context.detach(token)


def fail(span: "Span", error: Exception | None = None) -> None:
    """Mark a span as failed, with the kind of error alone."""
    from opentelemetry.trace import StatusCode  # noqa: PLC0415

    span.set_status(StatusCode.ERROR)
    if error is not None:
        span.set_attribute("error.type", type(error).__qualname__)


def current_traceparent() -> str | None:
    """Return the current span, for whoever goes on with its trace elsewhere."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
        TraceContextTextMapPropagator,
    )

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def _context_of(traceparent: str | None) -> "Context":
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
        TraceContextTextMapPropagator,
    )

    carrier = {} if traceparent is None else {"traceparent": traceparent}
    return TraceContextTextMapPropagator().extract(carrier, context=Context())


def _trace(timed: Timed) -> None:
    """Make a span of a stage that has ended, below the current one."""
    if _tracer is None:
        return
    span = _tracer.start_span(timed.name, attributes=timed.facts, start_time=timed.began_ns)
    if timed.failed:
        fail(span)
    span.end(timed.began_ns + int(timed.seconds * 1e9))


def _is_wanted() -> bool:
    def read(name: str) -> str:
        return os.environ.get(name, "").strip()

    exporter = read("OTEL_TRACES_EXPORTER").lower()
    has_endpoint = read("OTEL_EXPORTER_OTLP_ENDPOINT") or read("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    if (
        read("OTEL_SDK_DISABLED").lower() == "true"
        or exporter == "none"
        or not (has_endpoint or exporter)
    ):
        return False
    protocol = read("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or read("OTEL_EXPORTER_OTLP_PROTOCOL")
    if exporter not in ("", "otlp") or protocol not in ("", PROTOCOL):
        logger.warning(
            "there are no traces: of OTEL_TRACES_EXPORTER bRAG knows otlp and none, of "
            "OTEL_EXPORTER_OTLP_PROTOCOL %s",
            PROTOCOL,
        )
        return False
    return True
