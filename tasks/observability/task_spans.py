"""Spans of tasks whose message was published inside one: they go on with the trace that it names."""

import threading
from typing import Any

from celery.signals import task_postrun, task_prerun, worker_init

from settings import process_settings
from telemetry import tracing

_here = threading.local()


@worker_init.connect(weak=False)
def _start(**_: Any) -> None:
    settings = process_settings()
    tracing.start(settings.role or "worker", settings.trace_endpoint, settings.trace_headers)


@task_prerun.connect(weak=False)
def _begin(task: Any, **_: Any) -> None:
    parent = getattr(task.request, tracing.HEADER, None)
    _here.span = tracing.begin(f"{task.name} process", "consumer", parent=parent) if parent else None
    tracing.enter(_here.span.traceparent if _here.span else None)


@task_postrun.connect(weak=False)
def _end(state: str | None = None, **_: Any) -> None:
    span, _here.span = _here.span, None
    tracing.enter(None)
    if span:
        if state != "SUCCESS":
            span.fail(str(state).lower())
        span.end()
