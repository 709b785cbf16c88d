"""A receiver of traces on loopback, as OpenTelemetry's protocol wants it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.serving import serve

__all__ = ["Received", "Receiver", "receiver"]


@dataclass(frozen=True)
class Received:
    """A span that has arrived."""

    service: str
    span: Span

    @property
    def name(self) -> str:
        """What it is called."""
        return self.span.name

    @property
    def trace_id(self) -> str:
        """Its trace, in hex."""
        return self.span.trace_id.hex()

    @property
    def facts(self) -> dict[str, str | int]:
        """Its attributes."""
        return {
            one.key: one.value.string_value or one.value.int_value for one in self.span.attributes
        }


class Receiver:
    """What has arrived, and where to send more."""

    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[bytes] = []
        self.spans: list[Received] = []

    async def receive(self, request: Request) -> Response:
        """Decode a batch of spans."""
        body = await request.body()
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [Received(attributes["service.name"], span) for span in scope.spans]
        answer = ExportTraceServiceResponse().SerializeToString()
        return Response(answer, media_type="application/x-protobuf")

    def named(self, name: str) -> list[Received]:
        """Return the spans of a name."""
        return [one for one in self.spans if one.name == name]

    def below(self, parent: Received) -> list[str]:
        """Return the names of a span's children."""
        return [one.name for one in self.spans if one.span.parent_span_id == parent.span.span_id]


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """Receive traces."""
    receiver = Receiver()
    app = Starlette(routes=[Route("/v1/traces", receiver.receive, methods=["POST"])])
    async with serve(app) as url:
        receiver.url = url
        yield receiver
