"""Who works, who hears, and which queues are worked off.

A worker process writes its own row every few seconds: that it is alive, and when the broker last brought it anything.
A canary is a job through a queue, from beat to a worker's thread, that leaves its time behind. So a worker that is
alive but deaf, a queue that nobody takes from, and a beat that stands still are each told apart from a quiet night.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import orjson
from sqlalchemy import delete, text
from sqlalchemy.orm import Session

from models.worker import Worker

GONE_AFTER, DEAF_AFTER, LEAVES_AFTER = 4, 3, 6  # times a worker's pace
CANARY_LATE = 120.0  # seconds; beat sends one each minute

_REPORT = text("""
    INSERT INTO workers AS w (name, process, queues, pace, is_full, calls, heard_at)
    VALUES (:name, :process, CAST(:queues AS jsonb), :pace, :full, CAST(:calls AS jsonb),
            now() - make_interval(secs => :silent))
    ON CONFLICT (name) DO UPDATE
       SET process = excluded.process, queues = excluded.queues, pace = excluded.pace, is_full = excluded.is_full,
           calls = excluded.calls, seen_at = now(), heard_at = excluded.heard_at,
           started_at = CASE WHEN w.process = excluded.process THEN w.started_at ELSE now() END
""")

_OTHERS_HEAR = text("""
    SELECT EXISTS (SELECT FROM workers WHERE name <> :name AND heard_at > now() - make_interval(secs => 2 * :pace))
""")

_SING = text("""
    INSERT INTO canaries (queue, worker) VALUES (:queue, :worker)
    ON CONFLICT (queue) DO UPDATE SET ran_at = now(), worker = excluded.worker
""")

_CANARIES = text("SELECT queue, extract(epoch FROM now() - ran_at)::float AS age FROM canaries")

# A worker that stopped properly took its row along; one that was killed is shown as gone for an hour.
_WORKERS = text("""
    SELECT w.name, w.process, w.queues, w.started_at, w.seen_at, w.heard_at, w.is_full,
           w.seen_at < now() - make_interval(secs => :gone * w.pace) AS gone,
           w.heard_at < now() - make_interval(secs => :deaf * w.pace) AS silent
      FROM workers w WHERE w.seen_at > now() - interval '1 hour' ORDER BY w.name
""")

# Whether jobs of a queue reach anybody, by the same rules as a worker's `Hearing`, and when one of its workers heard
# something last: part of what the owner of a run that waits in it is told.
TAKERS = """
    SELECT coalesce(bool_or(w.seen_at >= now() - make_interval(secs => :gone * w.pace)
                            AND (w.is_full OR w.heard_at >= now() - make_interval(secs => :deaf * w.pace))),
                    false) AS taken, max(w.heard_at) AS heard_at
      FROM workers w WHERE w.seen_at > now() - interval '1 hour' AND w.queues ? :queue
"""

_CALLS = text("""
    SELECT c.provider, s.state, sum(s.number::int)::int AS number
      FROM workers w, jsonb_each(w.calls) AS c(provider, states), jsonb_each_text(c.states) AS s(state, number)
     WHERE w.seen_at >= now() - make_interval(secs => :gone * w.pace)
     GROUP BY c.provider, s.state
""")

_DRIVEN = text("""
    SELECT lease_owner, count(*) AS number FROM workflow_executions
     WHERE lease_expires_at IS NOT NULL GROUP BY lease_owner
""")


Calls = Mapping[str, Mapping[str, int]]  # by provider, how many are `allowed`, `under_way` and `in_line`


class Hearing(StrEnum):
    """How a worker is: `full` ones take nothing before a thread is free, so their silence means nothing."""

    UP = "up"
    FULL = "full"
    DEAF = "deaf"
    GONE = "gone"


@dataclass(frozen=True)
class Me:
    """How a worker process describes itself; `pace` is the seconds between two reports."""

    name: str
    process: str
    queues: Sequence[str]
    pace: float


@dataclass(frozen=True)
class WorkerState:
    """One worker process, for operators."""

    name: str
    process: str
    queues: Sequence[str]
    status: Hearing
    started_at: datetime
    seen_at: datetime
    heard_at: datetime

    @property
    def takes(self) -> bool:
        """Whether jobs reach it."""
        return self.status in (Hearing.UP, Hearing.FULL)


@dataclass(frozen=True)
class QueueState:
    """One queue: how many workers take from it, how many should but hear nothing, and the last canary's age."""

    name: str
    workers: int
    deaf: int
    canary_seconds: float | None

    @property
    def status(self) -> str:
        """`down`: nobody takes from it; `late`: somebody does, but no canary came through for two minutes."""
        if not self.workers:
            return "down"
        return "late" if self.canary_seconds is not None and self.canary_seconds > CANARY_LATE else "up"


@dataclass(frozen=True)
class Presence:
    """Everything at once: what health, metrics and administrators are shown."""

    queues: Sequence[QueueState]
    workers: Sequence[WorkerState]
    canary_seconds: float | None  # age of the newest one of all queues

    @property
    def beat_is_up(self) -> bool:
        """Whether anything that beat asked for was done lately."""
        return self.canary_seconds is not None and self.canary_seconds <= CANARY_LATE

    @property
    def deaf(self) -> int:
        """How many workers are alive and hear nothing."""
        return sum(worker.status is Hearing.DEAF for worker in self.workers)


def report(session: Session, me: Me, *, silent: float, full: bool, calls: Calls | None = None) -> bool:
    """Say that `me` is alive and heard something `silent` seconds ago; answers whether others hear the broker."""
    row = {"name": me.name, "process": me.process, "pace": me.pace, "queues": orjson.dumps(list(me.queues)).decode()}
    session.execute(_REPORT, row | {"silent": silent, "full": full, "calls": orjson.dumps(calls or {}).decode()})
    return bool(session.scalar(_OTHERS_HEAR, {"name": me.name, "pace": me.pace}))


def leave(session: Session, me: Me) -> None:
    """Say good-bye: this process ends in good order."""
    session.execute(delete(Worker).where(Worker.name == me.name, Worker.process == me.process))


def sing(session: Session, queue: str, worker: str) -> None:
    """A canary came through `queue` to `worker`."""
    session.execute(_SING, {"queue": queue, "worker": worker})


def driven(session: Session) -> dict[str, int]:
    """How many executions each process drives, by `process`."""
    return {row.lease_owner: row.number for row in session.execute(_DRIVEN)}


def calls(session: Session) -> dict[tuple[str, str], int]:
    """The calls of all workers together, by provider and state."""
    rows = session.execute(_CALLS, {"gone": GONE_AFTER})
    return {(row.provider, row.state): row.number for row in rows}


def overview(session: Session, queues: Iterable[str]) -> Presence:
    """How the queues and their workers are; the database's clock is the only one that counts."""
    found = session.execute(_WORKERS, {"gone": GONE_AFTER, "deaf": DEAF_AFTER})
    workers = [
        WorkerState(
            row.name,
            row.process,
            row.queues,
            _hearing(gone=row.gone, full=row.is_full, silent=row.silent),
            row.started_at,
            row.seen_at,
            row.heard_at,
        )
        for row in found
    ]
    ages = {row.queue: row.age for row in session.execute(_CANARIES)}
    return Presence(
        [_queue(str(name), workers, ages.get(name)) for name in queues], workers, min(ages.values(), default=None)
    )


def _hearing(*, gone: bool, full: bool, silent: bool) -> Hearing:
    if gone:
        return Hearing.GONE
    if full:
        return Hearing.FULL
    return Hearing.DEAF if silent else Hearing.UP


def _queue(name: str, workers: Sequence[WorkerState], age: float | None) -> QueueState:
    mine = [worker for worker in workers if name in worker.queues]
    deaf = sum(worker.status is Hearing.DEAF for worker in mine)
    return QueueState(name, sum(worker.takes for worker in mine), deaf, age)
