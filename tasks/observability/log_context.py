"""Puts the ids of a task's message into all that is logged while it is done, Celery's own lines included."""

from collections.abc import Mapping
from typing import Any

import structlog
from celery.signals import task_postrun, task_prerun

from tasks.queue import REQUEST_HEADER, TaskMessage


@task_prerun.connect(weak=False)
def _bind(task: Any, kwargs: Mapping[str, str | int], **_: Any) -> None:
    structlog.contextvars.clear_contextvars()
    request_id = getattr(task.request, REQUEST_HEADER, None)
    caused = {"request_id": request_id} if request_id else {}
    structlog.contextvars.bind_contextvars(task=task.name, **TaskMessage.logged(kwargs), **caused)


@task_postrun.connect(weak=False)
def _unbind(**_: Any) -> None:
    structlog.contextvars.clear_contextvars()
