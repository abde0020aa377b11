"""Traces of requests and runs for an OpenTelemetry collector; off, nothing of OpenTelemetry is imported.

A span's place in its trace is a text, the `traceparent` of W3C, which crosses threads as the context of its caller, and
processes as a header of a message or a column of a run. Spans have ids, names, times, codes and counts of tokens, and
never what users wrote.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from importlib import import_module
from types import MappingProxyType
from typing import Any, Literal

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attributes = Mapping[str, str | int | float | bool | None]  # those that are None are left out

HEADER = "traceparent"
_NONE: Attributes = MappingProxyType({})

_current: ContextVar[str | None] = ContextVar("traceparent", default=None)
_otlp: Any = None  # the module `telemetry.otlp`, once this process sends spans
_tracer: Any = None


def start(service: str, endpoint: str, headers: str = "") -> None:
    """Send this process's spans from now on; called once, after any fork, because a thread sends them."""
    global _otlp, _tracer  # one for the process
    _otlp = import_module("telemetry.otlp")
    _tracer = _otlp.tracer(service, endpoint, headers)


def is_on() -> bool:
    """Whether this process sends spans."""
    return _tracer is not None


def traceparent() -> str | None:
    """The place of the span that this thread works in; None outside of any."""
    return _current.get()


def enter(traceparent: str | None) -> None:
    """Work inside this span, or none, from now on in this thread, until it is told otherwise."""
    _current.set(traceparent)


class Span:
    """A span that has begun; while no spans are sent, it does nothing."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        """Its place, for what it causes."""
        return None if self._span is None else str(_otlp.place(self._span))

    def set(self, attributes: Attributes) -> None:
        """Add attributes."""
        if self._span is not None:
            self._span.set_attributes(_known(attributes))

    def fail(self, code: str) -> None:
        """Mark it as failed, with the code of the error and no sentence, which may quote a user."""
        if self._span is not None:
            _otlp.fail(self._span, code)

    def end(self, at: datetime | None = None) -> None:
        """End it, now or at a moment; a repeat changes nothing."""
        if self._span is not None and self._span.is_recording():
            self._span.end(None if at is None else _otlp.nanoseconds(at))


NOTHING = Span()


def begin(
    name: str,
    kind: Kind = "internal",
    *,
    parent: str | None = None,
    at: datetime | None = None,
    attributes: Attributes = _NONE,
) -> Span:
    """Begin a span below `parent`, or a new trace without one, now or at a moment; the caller ends it."""
    if _tracer is None:
        return NOTHING
    return Span(_otlp.begin(_tracer, name, kind, parent, at, _known(attributes)))


@contextmanager
def inside(span: Span) -> Iterator[Span]:
    """Work inside a span that the caller began, and end it; an exception fails it with its type."""
    before = _current.set(span.traceparent or _current.get())
    try:
        yield span
    except BaseException as error:
        span.fail(type(error).__name__)
        raise
    finally:
        _current.reset(before)
        span.end()


def is_same_trace(one: str | None, other: str | None) -> bool:
    """Whether both are places in the same trace."""
    return bool(one and other) and str(one).split("-")[1:2] == str(other).split("-")[1:2]


def _known(attributes: Attributes) -> dict[str, str | int | float | bool]:
    return {name: value for name, value in attributes.items() if value is not None}
