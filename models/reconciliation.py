"""What reconciliation did: a row for each run, one for each thing that was not as it should be, and how far it came."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, false, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, JsonB, Record, UtcTime, words


class RunKind(StrEnum):
    """What is compared."""

    EVENTS = "events"  # Stripe's list of events against those that came in
    PURCHASES = "purchases"  # purchases that are still open
    OBJECTS = "objects"  # everything else that Stripe knows, orphans on either side, and the ledger


class RunStatus(StrEnum):
    """`incomplete` means that something could not be compared; the next run looks at the same time again."""

    RUNNING = "running"
    DONE = "done"
    INCOMPLETE = "incomplete"
    ABANDONED = "abandoned"  # its process ended before it did


class Action(StrEnum):
    """What came of a finding. A dry run finds `repairable` what another would have `repaired`."""

    REPAIRED = "repaired"
    REPAIRABLE = "repairable"
    REPORTED = "reported"  # a person has to decide
    FAILED = "failed"  # it could not be looked at, or not be mended


class ReconciliationRun(Record):
    """One comparison, from its start (`created_at`) to its end."""

    __tablename__ = "reconciliation_runs"
    __table_args__ = (
        CheckConstraint("(finished_at IS NULL) = (status = 'running')", name="finished_when_over"),
        Index("ix_reconciliation_runs_newest", text("created_at DESC"), text("id DESC")),
        Index("ix_reconciliation_runs_of_kind", "kind", "status", "dry_run", text("created_at DESC")),
    )

    kind: Mapped[RunKind] = mapped_column(words(RunKind, "kind_known"))
    status: Mapped[RunStatus] = mapped_column(
        words(RunStatus, "status_known"), default=RunStatus.RUNNING, server_default=RunStatus.RUNNING
    )
    dry_run: Mapped[bool] = mapped_column(default=False, server_default=false())
    since: Mapped[UtcTime]  # what Stripe made earlier was not asked for
    checked: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # things that were compared
    repaired: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    reported: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    failed: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    error: Mapped[str | None] = mapped_column(Text)  # why it is incomplete
    finished_at: Mapped[UtcTime | None]


class ReconciliationFinding(Record):
    """One difference, and what became of it."""

    __tablename__ = "reconciliation_findings"
    __table_args__ = (
        Index("ix_reconciliation_findings_run", "run_id", "created_at", "id"),
        Index("ix_reconciliation_findings_subject", "subject"),
        Index("ix_reconciliation_findings_age", "created_at"),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("reconciliation_runs.id", ondelete="CASCADE"))
    check: Mapped[str] = mapped_column(String(40))  # which comparison found it
    subject: Mapped[str] = mapped_column(String(255))  # an id, Stripe's or ours
    problem: Mapped[str] = mapped_column(String(60))
    action: Mapped[Action] = mapped_column(words(Action, "action_known"))
    detail: Mapped[str] = mapped_column(Text)
    changes: Mapped[JsonB] = mapped_column(nullable=True)  # {what: [before, after]}


class ReconciliationWatermark(Base):
    """How far each kind of run came: everything that Stripe made before `reached` was compared."""

    __tablename__ = "reconciliation_watermarks"

    kind: Mapped[RunKind] = mapped_column(words(RunKind, "kind_known"), primary_key=True)
    reached: Mapped[UtcTime]
    updated_at: Mapped[UtcTime] = mapped_column(server_default=func.now(), onupdate=func.now())
