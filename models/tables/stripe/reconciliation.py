"""Reconciliation runs, their findings, and the watermark of each kind."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, false, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, JsonB, Record, UtcTime, enum_column


class RunKind(StrEnum):
    """The scope of a reconciliation run."""

    EVENTS = "events"  # Stripe's list of events and the received ones
    PURCHASES = "purchases"  # purchases that are still open
    OBJECTS = "objects"  # all other objects at Stripe, orphans on either side, and the ledger


class RunStatus(StrEnum):
    """The status of a run; if `incomplete`, something could not be compared, and the next run covers the same time."""

    RUNNING = "running"
    DONE = "done"
    INCOMPLETE = "incomplete"
    ABANDONED = "abandoned"  # its process died


class Action(StrEnum):
    """The action taken for a finding."""

    REPAIRED = "repaired"
    REPAIRABLE = "repairable"  # a dry run does not repair it
    REPORTED = "reported"  # a person has to decide
    FAILED = "failed"  # it could not be compared or repaired


class ReconciliationRun(Record):
    """A run of reconciliation, from its start (`created_at`) to its end."""

    __tablename__ = "reconciliation_runs"
    __table_args__ = (
        CheckConstraint("(finished_at IS NULL) = (status = 'running')", name="finished_when_over"),
        Index("ix_reconciliation_runs_newest", text("created_at DESC"), text("id DESC")),
        Index("ix_reconciliation_runs_of_kind", "kind", "status", "dry_run", text("created_at DESC")),
    )

    kind: Mapped[RunKind] = mapped_column(enum_column(RunKind, "kind_known"))
    status: Mapped[RunStatus] = mapped_column(
        enum_column(RunStatus, "status_known"), default=RunStatus.RUNNING, server_default=RunStatus.RUNNING
    )
    dry_run: Mapped[bool] = mapped_column(default=False, server_default=false())
    since: Mapped[UtcTime]  # objects created earlier at Stripe were not compared
    checked: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # number of compared objects
    repaired: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    reported: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    failed: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    error: Mapped[str | None] = mapped_column(Text)  # why it is incomplete
    finished_at: Mapped[UtcTime | None]


class ReconciliationFinding(Record):
    """A difference between the database and Stripe, and the action that was taken."""

    __tablename__ = "reconciliation_findings"
    __table_args__ = (
        Index("ix_reconciliation_findings_run", "run_id", "created_at", "id"),
        Index("ix_reconciliation_findings_subject", "subject"),
        Index("ix_reconciliation_findings_age", "created_at"),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("reconciliation_runs.id", ondelete="CASCADE"))
    check: Mapped[str] = mapped_column(String(40))  # the comparison that found it
    subject: Mapped[str] = mapped_column(String(255))  # an id, Stripe's or ours
    problem: Mapped[str] = mapped_column(String(60))
    action: Mapped[Action] = mapped_column(enum_column(Action, "action_known"))
    detail: Mapped[str] = mapped_column(Text)
    changes: Mapped[JsonB] = mapped_column(nullable=True)  # {field: [before, after]}


class ReconciliationWatermark(Base):
    """The watermark of a kind of run: all objects created at Stripe before `reached` were compared."""

    __tablename__ = "reconciliation_watermarks"

    kind: Mapped[RunKind] = mapped_column(enum_column(RunKind, "kind_known"), primary_key=True)
    reached: Mapped[UtcTime]
    updated_at: Mapped[UtcTime] = mapped_column(server_default=func.now(), onupdate=func.now())
