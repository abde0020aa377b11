"""Processes: workers with their heartbeats, probes and pauses of queues, named leases and failures of threads."""

from sqlalchemy import BigInteger, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, JsonB, ShortText, UtcTime


class Worker(Base):
    """A worker process at its last heartbeat. One without recent heartbeats died or was stopped."""

    __tablename__ = "workers"

    name: Mapped[ShortText] = mapped_column(primary_key=True)  # Celery's node name
    process: Mapped[ShortText]  # host:pid, as in the leases that it holds
    queues: Mapped[JsonB]  # names of the queues that it consumes
    report_interval: Mapped[float]  # seconds between two heartbeats
    is_full: Mapped[bool] = mapped_column(default=False, server_default=text("false"))  # has no free thread for a job
    calls: Mapped[JsonB] = mapped_column(server_default=text("'{}'::jsonb"))  # by provider: allowed, under_way, queued
    started_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    seen_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    last_message_at: Mapped[UtcTime] = mapped_column(
        server_default=func.now()
    )  # when the broker last delivered a message


class QueueProbe(Base):
    """The last probe of a queue: a job without effect, from beat to a worker's thread."""

    __tablename__ = "queue_probes"

    queue: Mapped[str] = mapped_column(String(60), primary_key=True)
    ran_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    worker: Mapped[ShortText]


class PausedQueue(Base):
    """A queue that workers do not consume until an operator resumes it."""

    __tablename__ = "paused_queues"

    queue: Mapped[str] = mapped_column(String(60), primary_key=True)
    paused_by: Mapped[ShortText]  # user@host
    paused_at: Mapped[UtcTime] = mapped_column(server_default=func.now())


class NamedLease(Base):
    """The lease of one holder on a name. It expires, so that no process waits for one that died."""

    __tablename__ = "named_leases"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    holder: Mapped[str] = mapped_column(String(100))
    expires_at: Mapped[UtcTime]


class ThreadFailure(Base):
    """The number of failures of threads with one name in all processes, and the time of the last one."""

    __tablename__ = "thread_failures"

    thread: Mapped[str] = mapped_column(String(60), primary_key=True)
    failures: Mapped[int] = mapped_column(BigInteger)
    failed_at: Mapped[UtcTime | None]
