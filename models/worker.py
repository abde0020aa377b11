"""Worker processes, each with its own word on how it is, and the canaries that prove that queues are worked off."""

from sqlalchemy import String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, JsonB, ShortText, UtcTime


class Worker(Base):
    """One worker process as it last described itself. Those that are not seen any more died or were moved."""

    __tablename__ = "workers"

    name: Mapped[ShortText] = mapped_column(primary_key=True)  # Celery's node name
    process: Mapped[ShortText]  # host:pid, as in the leases that it holds
    queues: Mapped[JsonB]  # names of those that it takes jobs from
    pace: Mapped[float]  # seconds between two words of it
    is_full: Mapped[bool] = mapped_column(default=False, server_default=text("false"))  # takes no more for now
    calls: Mapped[JsonB] = mapped_column(server_default=text("'{}'::jsonb"))  # by provider: allowed, under_way, in_line
    started_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    seen_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    heard_at: Mapped[UtcTime] = mapped_column(server_default=func.now())  # when the broker last brought it anything


class Canary(Base):
    """When a job that does nothing last went through a queue, from beat to a worker's thread."""

    __tablename__ = "canaries"

    queue: Mapped[str] = mapped_column(String(60), primary_key=True)
    ran_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    worker: Mapped[ShortText]
