"""The queues and their workers, for administrators."""

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from api.http.parsing import show
from api.schemas.admin.admin import WorkerOut
from models.services.operations import backlog, worker_heartbeats
from models.services.operations.backlog import Waiting
from models.services.operations.worker_heartbeats import QueueState
from tasks.queue import QueueName

NOTHING = Waiting(0, 0, None)


def queues_and_workers(session: Session, messages: Mapping[str, int]) -> dict[str, Any]:
    """The document `{queues, workers, beat}`; `messages` are queue lengths by queue."""
    seen = worker_heartbeats.overview(session, QueueName)
    waiting, driven = backlog.by_queue(session), worker_heartbeats.driven(session)
    return {
        "beat": "up" if seen.beat_is_up else "down",
        "queues": [_queue(queue, waiting.get(queue.name, NOTHING), messages.get(queue.name)) for queue in seen.queues],
        "workers": [{**show(WorkerOut, worker), "running": driven.get(worker.process, 0)} for worker in seen.workers],
    }


def _queue(queue: QueueState, waiting: Waiting, messages: int | None) -> dict[str, Any]:
    return {
        "name": queue.name,
        "status": queue.status,
        "depth": waiting.rows,
        "deferred": waiting.deferred,
        "messages": messages,
        "oldestAt": waiting.oldest,
        "oldestSeconds": round(time.time() - waiting.oldest.timestamp(), 1) if waiting.oldest else None,
        "probeSeconds": None if queue.probe_seconds is None else round(queue.probe_seconds, 1),
        "workers": queue.workers,
        "unresponsiveWorkers": queue.unresponsive,
    }
