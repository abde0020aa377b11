"""Schedules of workflows: when runs are started, and what became of the last time."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Credits, JsonB, Record, ShortText, UpdatedAtMixin, UtcTime
from models.rules.values.cron import CronExpression


class WorkflowSchedule(UpdatedAtMixin, Record):
    """Times at which a run of a workflow is started, by a cron expression in a time zone."""

    __tablename__ = "workflow_schedules"
    __table_args__ = (
        CheckConstraint("(next_run_at IS NOT NULL) = enabled", name="due_when_enabled"),
        CheckConstraint("refusals >= 0", name="refusals_not_negative"),
        Index("ix_workflow_schedules_owned", "user_id", text("created_at DESC"), text("id DESC")),
        Index("ix_workflow_schedules_of_workflow", "workflow_id"),
        Index("ix_workflow_schedules_due", "next_run_at", "id", postgresql_where=text("next_run_at IS NOT NULL")),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    workflow_id: Mapped[UUID] = mapped_column(ForeignKey("workflows.id"))
    name: Mapped[ShortText] = mapped_column(default="", server_default="")
    cron: Mapped[str] = mapped_column(String(100))
    time_zone: Mapped[str] = mapped_column(String(64))  # a name of the IANA database
    input: Mapped[JsonB] = mapped_column(nullable=True)
    max_credits: Mapped[Credits | None]  # of each run; None: its worst case
    enabled: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    next_run_at: Mapped[UtcTime | None]  # None while it is not enabled
    last_run_at: Mapped[UtcTime | None]  # the last time for which a run was started
    last_execution_id: Mapped[UUID | None]  # that run; no foreign key, because history is pruned
    # Why the last time started no run, as {code, message, at}; None if it did.
    last_error: Mapped[JsonB] = mapped_column(nullable=True)
    refusals: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # times in a row that started no run

    @property
    def description(self) -> str:
        """When it runs, in English, without the time zone."""
        return CronExpression(self.cron).description
