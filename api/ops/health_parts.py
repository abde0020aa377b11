"""Every part of the service with its state and its age: the time since it last gave a sign of life."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from models.services.operations import backlog, part_ages
from models.services.operations.backlog import Waiting
from models.services.operations.worker_heartbeats import WorkersOverview

# Seconds after which a part is `late`: those of the alerts (deploy/prometheus/alerts.yml), and a day and two hours.
LATE_SECONDS = {
    "reconciliation.events": 1_200.0,
    "reconciliation.purchases": 10_800.0,
    "reconciliation.objects": 180_000.0,
    "backup": 93_600.0,
}
QUEUE_LATE_SECONDS = 300.0


class Part(NamedTuple):
    """The state of a part, and seconds since its last sign of life; for a queue, the age of its oldest row."""

    status: str
    age_seconds: float | None


class LastResponses:
    """When servers last responded to this process. Threads may share it."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def note(self, server: str, *, responds: bool) -> Part:
        """Note whether a server responds now; the age is None if it never did."""
        now = time.monotonic()
        if responds:
            self._at[server] = now
        known = self._at.get(server)
        return Part("up" if responds else "down", None if known is None else now - known)


def stored(session: Session, overview: WorkersOverview) -> dict[str, Part]:
    """The parts that the database knows of: beat, queues, workers without their names, and periodic work."""
    return {
        "beat": Part("up" if overview.beat_is_up else "down", overview.probe_seconds),
        **dict(_queues(overview, backlog.by_queue(session))),
        **{
            f"worker.{number}": Part(worker.status.value, time.time() - worker.seen_at.timestamp())
            for number, worker in enumerate(overview.workers, 1)
        },
        **{name: Part(_by_age(name, age), age) for name, age in part_ages.ages(session).items()},
    }


def as_json(parts: Mapping[str, Part]) -> dict[str, Any]:
    """The parts as the schema has them."""
    return {
        name: {"status": part.status, "ageSeconds": None if part.age_seconds is None else round(part.age_seconds, 1)}
        for name, part in parts.items()
    }


def _queues(overview: WorkersOverview, waiting: Mapping[str, Waiting]) -> Iterator[tuple[str, Part]]:
    """The queues; one whose work waits for long is late, whatever its probe says, and an empty one has no age."""
    for queue in overview.queues:
        found = waiting.get(queue.name)
        age = max(0.0, time.time() - found.oldest.timestamp()) if found and found.oldest else None
        waits = queue.status == "up" and age is not None and age > QUEUE_LATE_SECONDS
        yield f"queue.{queue.name}", Part("late" if waits else queue.status, age)


def _by_age(name: str, age: float | None) -> str:
    if age is None:
        return "unknown"
    return "late" if age > LATE_SECONDS[name] else "up"
