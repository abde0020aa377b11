"""Heartbeats of workers, and probes of queues.

A worker process writes its own row every few seconds: that it is alive, and when the broker last delivered a message.
A queue probe is a job through a queue, from beat to a worker's thread, that records its time. Together they show an
unresponsive worker, a queue without consumers and a stopped beat even when there is no other work.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import delete, text
from sqlalchemy.orm import Session

from models.rules.prices.pricing import Provider
from models.serialization import to_json
from models.services.operations import queue_pauses
from models.tables import Worker

GONE_AFTER_INTERVALS, UNRESPONSIVE_AFTER_INTERVALS, SHUTDOWN_AFTER_INTERVALS = 4, 3, 6  # times `report_interval`
PROBE_LATE_SECONDS = 120.0  # beat sends a probe each minute

_REPORT = text("""
    INSERT INTO workers AS w (name, process, queues, report_interval, is_full, calls, last_message_at)
    VALUES (:name, :process, CAST(:queues AS jsonb), :report_interval, :full, CAST(:calls AS jsonb),
            now() - make_interval(secs => :silent))
    ON CONFLICT (name) DO UPDATE
       SET process = excluded.process, queues = excluded.queues, report_interval = excluded.report_interval,
           is_full = excluded.is_full, calls = excluded.calls, seen_at = now(),
           last_message_at = excluded.last_message_at,
           started_at = CASE WHEN w.process = excluded.process THEN w.started_at ELSE now() END
""")

_OTHERS_RESPONSIVE = text("""
    SELECT EXISTS (SELECT FROM workers
                    WHERE name <> :name AND last_message_at > now() - make_interval(secs => 2 * :report_interval))
""")

_RECORD_PROBE = text("""
    INSERT INTO queue_probes (queue, worker) VALUES (:queue, :worker)
    ON CONFLICT (queue) DO UPDATE SET ran_at = now(), worker = excluded.worker
""")

_PROBES = text("SELECT queue, extract(epoch FROM now() - ran_at)::float AS age FROM queue_probes")

# A worker removes its row at shutdown; one that was killed is shown as gone for an hour.
_WORKERS = text("""
    SELECT w.name, w.process, w.queues, w.started_at, w.seen_at, w.last_message_at, w.is_full,
           w.seen_at < now() - make_interval(secs => :gone * w.report_interval) AS gone,
           w.last_message_at < now() - make_interval(secs => :unresponsive * w.report_interval) AS silent
      FROM workers w WHERE w.seen_at > now() - interval '1 hour' ORDER BY w.name
""")

# Whether `queue.name` has live consumers, by the same rules as `WorkerStatus`, and when one of its workers last
# received a message. For the wait status of runs in the queue.
CONSUMERS = """
    SELECT coalesce(bool_or(w.seen_at >= now() - make_interval(secs => :gone * w.report_interval)
                            AND (w.is_full OR w.last_message_at
                                 >= now() - make_interval(secs => :unresponsive * w.report_interval))),
                    false) AS taken, max(w.last_message_at) AS last_message_at
      FROM workers w WHERE w.seen_at > now() - interval '1 hour' AND w.queues ? queue.name
"""

_CALLS = text("""
    SELECT c.provider, s.state, sum(s.number::int)::int AS number
      FROM workers w, jsonb_each(w.calls) AS c(provider, states), jsonb_each_text(c.states) AS s(state, number)
     WHERE w.seen_at >= now() - make_interval(secs => :gone * w.report_interval)
     GROUP BY c.provider, s.state
""")

_DRIVEN = text("""
    SELECT lease_owner, count(*) AS number FROM workflow_executions
     WHERE lease_expires_at IS NOT NULL GROUP BY lease_owner
""")

_DRIVERS = text("""
    SELECT process FROM workers
     WHERE seen_at >= now() - make_interval(secs => :gone * report_interval)
       AND EXISTS (SELECT FROM jsonb_array_elements_text(queues) AS q(name) WHERE q.name LIKE 'executions.%')
     ORDER BY process
""")

# A turn goes on at its gateway when its driver vanishes, and until the next driver has found it again.
_OPEN_TURNS = text("""
    SELECT e.lease_owner, count(*) AS number
      FROM workflow_executions e JOIN node_executions n ON n.execution_id = e.id
     WHERE e.lease_expires_at IS NOT NULL AND n.status = 'running' AND n.external_ref ? 'sessionKey'
     GROUP BY e.lease_owner
""")


Calls = Mapping[Provider, Mapping[str, int]]  # numbers of calls by `allowed`, `under_way` and `queued`


class WorkerStatus(StrEnum):
    """The status of a worker; a `full` one receives nothing until a thread is free, so it may be healthy."""

    UP = "up"
    FULL = "full"
    UNRESPONSIVE = "unresponsive"
    GONE = "gone"


@dataclass(frozen=True)
class WorkerInfo:
    """A worker process; `report_interval` is the time between its heartbeats in seconds."""

    name: str
    process: str
    queues: Sequence[str]
    report_interval: float


@dataclass(frozen=True)
class WorkerState:
    """A worker process and its status, for operators."""

    name: str
    process: str
    queues: Sequence[str]
    status: WorkerStatus
    started_at: datetime
    seen_at: datetime
    last_message_at: datetime

    @property
    def is_consuming(self) -> bool:
        """Whether it consumes its queues."""
        return self.status in (WorkerStatus.UP, WorkerStatus.FULL)


@dataclass(frozen=True)
class QueueState:
    """A queue: the number of its consuming workers and of its unresponsive ones, and the age of its last probe."""

    name: str
    workers: int
    unresponsive: int
    probe_seconds: float | None
    is_paused: bool = False

    @property
    def status(self) -> str:
        """`paused` by an operator, `down` without workers, `late` two minutes after its last probe, `up` otherwise."""
        if self.is_paused:
            return "paused"
        if not self.workers:
            return "down"
        return "late" if self.probe_seconds is not None and self.probe_seconds > PROBE_LATE_SECONDS else "up"


@dataclass(frozen=True)
class WorkersOverview:
    """The state of all queues and workers, for health checks, metrics and administrators."""

    queues: Sequence[QueueState]
    workers: Sequence[WorkerState]
    probe_seconds: float | None  # age of the newest probe of all queues

    @property
    def beat_is_up(self) -> bool:
        """Whether a probe from beat went through any queue recently."""
        return self.probe_seconds is not None and self.probe_seconds <= PROBE_LATE_SECONDS

    @property
    def unresponsive(self) -> int:
        """The number of workers that are alive but receive no messages."""
        return sum(worker.status is WorkerStatus.UNRESPONSIVE for worker in self.workers)


def report(session: Session, worker: WorkerInfo, *, silent: float, full: bool, calls: Calls | None = None) -> bool:
    """Record a heartbeat, `silent` seconds after the last message from the broker.

    Returns whether other workers receive messages, so that the broker is not the cause of the silence.
    """
    row = {
        "name": worker.name,
        "process": worker.process,
        "report_interval": worker.report_interval,
        "queues": to_json(list(worker.queues)),
    }
    session.execute(_REPORT, row | {"silent": silent, "full": full, "calls": to_json(calls or {})})
    values = {"name": worker.name, "report_interval": worker.report_interval}
    return bool(session.scalar(_OTHERS_RESPONSIVE, values))


def leave(session: Session, worker: WorkerInfo) -> None:
    """Remove the row of a worker process that shuts down."""
    session.execute(delete(Worker).where(Worker.name == worker.name, Worker.process == worker.process))


def record_probe(session: Session, queue: str, worker: str) -> None:
    """Record that a probe went through `queue` to the process `worker`."""
    session.execute(_RECORD_PROBE, {"queue": queue, "worker": worker})


def driven(session: Session) -> dict[str, int]:
    """The number of executions that each process drives, by its name."""
    return {row.lease_owner: row.number for row in session.execute(_DRIVEN)}


def drivers(session: Session) -> list[str]:
    """The live worker processes that drive executions, by their names in leases."""
    return list(session.scalars(_DRIVERS, {"gone": GONE_AFTER_INTERVALS}))


def open_turns(session: Session) -> dict[str, int]:
    """The number of agent turns in progress of each process, by its name in leases."""
    return {row.lease_owner or "": row.number for row in session.execute(_OPEN_TURNS)}


def calls(session: Session) -> dict[tuple[str, str], int]:
    """The number of calls of all workers, by provider and state."""
    rows = session.execute(_CALLS, {"gone": GONE_AFTER_INTERVALS})
    return {(row.provider, row.state): row.number for row in rows}


def overview(session: Session, queues: Iterable[str]) -> WorkersOverview:
    """The state of `queues` and of all workers; all times are by the database's clock."""
    found = session.execute(_WORKERS, {"gone": GONE_AFTER_INTERVALS, "unresponsive": UNRESPONSIVE_AFTER_INTERVALS})
    workers = [
        WorkerState(
            row.name,
            row.process,
            row.queues,
            _status(gone=row.gone, full=row.is_full, silent=row.silent),
            row.started_at,
            row.seen_at,
            row.last_message_at,
        )
        for row in found
    ]
    ages = {row.queue: row.age for row in session.execute(_PROBES)}
    paused = queue_pauses.paused(session)
    return WorkersOverview(
        [_queue(str(name), workers, ages.get(name), is_paused=name in paused) for name in queues],
        workers,
        min(ages.values(), default=None),
    )


def _status(*, gone: bool, full: bool, silent: bool) -> WorkerStatus:
    if gone:
        return WorkerStatus.GONE
    if full:
        return WorkerStatus.FULL
    return WorkerStatus.UNRESPONSIVE if silent else WorkerStatus.UP


def _queue(name: str, workers: Sequence[WorkerState], age: float | None, *, is_paused: bool) -> QueueState:
    consumers = [worker for worker in workers if name in worker.queues]
    unresponsive = sum(worker.status is WorkerStatus.UNRESPONSIVE for worker in consumers)
    return QueueState(name, sum(worker.is_consuming for worker in consumers), unresponsive, age, is_paused)
