"""Runs that took their workers down, kept apart until an administrator decided; history is pruned, these are not."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, JsonB, ShortText, UtcTime


class QuarantinedRun(Base):
    """One of them. `crashes` lists `{at, worker}`, the oldest first."""

    __tablename__ = "quarantined_runs"
    __table_args__ = (
        Index("ix_quarantined_runs_open", text("quarantined_at DESC"), postgresql_where=text("retried_as IS NULL")),
    )

    execution_id: Mapped[UUID] = mapped_column(primary_key=True)  # no foreign key: the run may be pruned
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    workflow_name: Mapped[ShortText]
    reason: Mapped[str] = mapped_column(Text)
    crashes: Mapped[JsonB]
    submitted_at: Mapped[UtcTime]
    quarantined_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    retried_as: Mapped[UUID | None]  # the run that an administrator started in its place
