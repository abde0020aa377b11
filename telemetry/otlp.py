"""Sends spans to an OpenTelemetry collector by OTLP over HTTP; `tracing` imports it once they are to be sent."""

from collections.abc import Mapping
from datetime import datetime

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers

EXPORT_SECONDS = 5.0  # that a process waits for the collector, at its end too

_places = TraceContextTextMapPropagator()


def tracer(service: str, endpoint: str, headers: str) -> Tracer:
    """A tracer that sends from a thread of its own to the collector at `endpoint`, with `headers` (name=value,...)."""
    provider = TracerProvider(resource=Resource.create({"service.name": f"agentforge-{service}"}))
    address, known = f"{endpoint.rstrip('/')}/v1/traces", parse_env_headers(headers, liberal=True)
    exporter = OTLPSpanExporter(address, headers=known, timeout=EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider.get_tracer("agentforge")


def begin(
    tracer: Tracer,
    name: str,
    kind: str,
    parent: str | None,
    at: datetime | None,
    attributes: Mapping[str, str | int | float | bool],
) -> Span:
    """Begin a span; see `tracing.begin`."""
    context = _places.extract({"traceparent": parent} if parent else {})
    started = None if at is None else nanoseconds(at)
    return tracer.start_span(name, context, SpanKind[kind.upper()], attributes, start_time=started)


def place(span: Span) -> str:
    """The `traceparent` of a span."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def fail(span: Span, code: str) -> None:
    """Mark a span as failed."""
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR, code))


def nanoseconds(at: datetime) -> int:
    """A moment as OpenTelemetry has it."""
    return int(at.timestamp() * 1e9)
