"""Runs of workflows: their state, the state of each of their nodes, and the events that tell their story."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base, Changing, Credits, JsonB, Record, ShortText, UtcTime, words
from models.rules.pricing import Priority
from models.rules.states import ExecutionStatus, NodeStatus
from models.workflow import WorkflowVersion

NODE_ID = String(64)


class Execution(Changing, Record):
    """One run of one version of a workflow, the lease of whoever drives it, and what it may cost.

    Drivers write these rows with statements of their own; `epoch` is raised at every claim and fences their writes.
    """

    __tablename__ = "workflow_executions"
    __table_args__ = (
        CheckConstraint("credits_charged BETWEEN 0 AND credits_cap", name="charged_within_cap"),
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress_is_percentage"),
        CheckConstraint(
            "num_nulls(parent_execution_id, parent_node_id, parent_path, parent_attempt)"
            " = CASE depth WHEN 0 THEN 4 ELSE 0 END",
            name="child_knows_its_parent",
        ),
        # One attempt of one step of the parent starts one child, however often it is tried.
        Index(
            "uq_workflow_executions_child",
            "parent_execution_id",
            "parent_node_id",
            "parent_path",
            "parent_attempt",
            unique=True,
            postgresql_where=text("parent_execution_id IS NOT NULL"),
        ),
        CheckConstraint(
            "(finished_at IS NOT NULL) = (status IN ('success', 'failed', 'cancelled'))", name="finished_when_over"
        ),
        Index("ix_workflow_executions_owned", "user_id", text("created_at DESC"), text("id DESC")),
        Index("ix_workflow_executions_by_status", "user_id", "status", text("created_at DESC"), text("id DESC")),
        # What was submitted on a day, by everybody: rows come in the order of time.
        Index(
            "ix_workflow_executions_age",
            "created_at",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 16},
        ),
        # The status stands last, so that a rare one is found without visiting the rows of the others.
        Index("ix_workflow_executions_of_workflow", "workflow_id", text("created_at DESC"), text("id DESC"), "status"),
        # The few that are not over: what sweeps look for and what the queue's length is counted from.
        Index(
            "ix_workflow_executions_queued", "priority", "created_at", "id", postgresql_where=text("status = 'queued'")
        ),
        Index(
            "ix_workflow_executions_leased", "lease_expires_at", postgresql_where=text("lease_expires_at IS NOT NULL")
        ),
        Index("ix_workflow_executions_driven", "user_id", postgresql_where=text("status IN ('running', 'cancelling')")),
        Index(
            "ix_workflow_executions_deferred",
            "user_id",
            "created_at",
            "id",
            postgresql_where=text("status IN ('queued', 'waiting') AND deferred_at IS NOT NULL"),
        ),
        # Those that wait for a month with calls left, or a higher tier.
        Index(
            "ix_workflow_executions_rationed",
            "user_id",
            postgresql_where=text("status = 'waiting' AND waiting_for->'types' ? 'api_calls'"),
        ),
        Index("ix_workflow_executions_due", "wake_at", postgresql_where=text("status = 'waiting'")),
        Index(
            "ix_workflow_executions_overdue",
            text("LEAST(start_by, deadline_at)"),
            postgresql_where=text("finished_at IS NULL"),
        ),
        # What pruning looks at: runs that ended, those that it keeps for now, and those that it is about to remove.
        Index(
            "ix_workflow_executions_aging",
            "finished_at",
            postgresql_where=text("finished_at IS NOT NULL AND kept_until IS NULL AND expired_at IS NULL"),
        ),
        Index(
            "ix_workflow_executions_kept",
            "kept_until",
            postgresql_where=text("kept_until IS NOT NULL AND expired_at IS NULL"),
        ),
        Index("ix_workflow_executions_expired", "expired_at", postgresql_where=text("expired_at IS NOT NULL")),
        CheckConstraint("expired_at IS NULL OR finished_at IS NOT NULL", name="expired_when_over"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    workflow_id: Mapped[UUID] = mapped_column(ForeignKey("workflows.id"))
    version_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_versions.id"))
    # The ended run whose results this one took over; history is pruned, so it may be gone.
    retry_of: Mapped[UUID | None]
    # The step of the run that started this one and waits for it; none of a run that somebody asked for.
    parent_execution_id: Mapped[UUID | None]
    parent_node_id: Mapped[str | None] = mapped_column(NODE_ID)
    parent_path: Mapped[str | None] = mapped_column(String(64))
    parent_attempt: Mapped[int | None]
    depth: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # runs above it
    workflow_name: Mapped[ShortText]  # as it was when the run was submitted
    status: Mapped[ExecutionStatus] = mapped_column(
        words(ExecutionStatus, "status_known"), default=ExecutionStatus.QUEUED, server_default=ExecutionStatus.QUEUED
    )
    priority: Mapped[Priority] = mapped_column(words(Priority, "priority_known"))
    input: Mapped[JsonB] = mapped_column(nullable=True)
    output: Mapped[JsonB] = mapped_column(nullable=True)
    error: Mapped[JsonB] = mapped_column(nullable=True)
    price_list: Mapped[str] = mapped_column(String(40))
    credits_cap: Mapped[Credits]  # what is held: the run never costs more; its children take their part with them
    credits_charged: Mapped[Credits] = mapped_column(default=Decimal(0), server_default=text("0"))
    # Of its cap, what its owner added while it waited for credits: no parent gets that back.
    credits_added: Mapped[Credits] = mapped_column(default=Decimal(0), server_default=text("0"))
    nodes_total: Mapped[int]
    nodes_executed: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    progress: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    last_seq: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))  # of the newest event
    epoch: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    deadline_at: Mapped[UtcTime | None]  # it must have ended; None for runs older than deadlines
    start_by: Mapped[UtcTime | None]  # until it is started: somebody must have begun to drive it
    lease_owner: Mapped[ShortText | None]
    lease_expires_at: Mapped[UtcTime | None]
    cancel_requested_at: Mapped[UtcTime | None]
    wake_at: Mapped[UtcTime | None]
    waiting_for: Mapped[JsonB] = mapped_column(nullable=True)
    crashes: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    # 1: it was under way when a worker died; 2: it is watched for that; 3: another worker died meanwhile, so it is
    # driven in a process of its own; 4: that was killed, once.
    suspicion: Mapped[int] = mapped_column(SmallInteger, default=0, server_default=text("0"))
    crash_log: Mapped[JsonB] = mapped_column(nullable=True)  # {worker, at} of each: by when it had vanished
    # Since when it waits for another run of its owner's to end; that run rings for it.
    deferred_at: Mapped[UtcTime | None]
    rung_at: Mapped[UtcTime | None]  # the last doorbell; none yet means that one is due
    started_at: Mapped[UtcTime | None]
    finished_at: Mapped[UtcTime | None]
    kept_until: Mapped[UtcTime | None]  # pruning looks at it again; None: as soon as any tier lets it go
    expired_at: Mapped[UtcTime | None]  # from then on only its receipt is shown, and its rows are being removed

    version: Mapped[WorkflowVersion] = relationship(viewonly=True)


class NodeExecution(Base):
    """How one node of a run stands; a loop's children have a row per iteration, told apart by `path`."""

    __tablename__ = "node_executions"
    __table_args__ = (CheckConstraint("credits >= 0", name="credits_not_negative"),)

    execution_id: Mapped[UUID] = mapped_column(
        ForeignKey("workflow_executions.id", ondelete="CASCADE"), primary_key=True
    )
    node_id: Mapped[str] = mapped_column(NODE_ID, primary_key=True)
    # Iteration indexes from the outside in, such as "3" or "3.0"; empty at the top level.
    path: Mapped[str] = mapped_column(String(64), primary_key=True, default="", server_default="")
    status: Mapped[NodeStatus] = mapped_column(words(NodeStatus, "status_known"))
    attempt: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    port: Mapped[str | None] = mapped_column(Text)
    output: Mapped[JsonB] = mapped_column(nullable=True)
    error: Mapped[JsonB] = mapped_column(nullable=True)
    credits: Mapped[Credits] = mapped_column(default=Decimal(0), server_default=text("0"))
    external_ref: Mapped[JsonB] = mapped_column(nullable=True)  # how its outside effect is known over there
    started_at: Mapped[UtcTime | None]
    finished_at: Mapped[UtcTime | None]


class ExecutionEvent(Base):
    """One line of a run's history; `seq` counts from 1, so that a reader can go on after the last one it saw."""

    __tablename__ = "execution_events"

    execution_id: Mapped[UUID] = mapped_column(
        ForeignKey("workflow_executions.id", ondelete="CASCADE"), primary_key=True
    )
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[UtcTime] = mapped_column(server_default=func.clock_timestamp())
    type: Mapped[str] = mapped_column(String(60))
    level: Mapped[str] = mapped_column(String(10), default="info", server_default="info")
    node_id: Mapped[str | None] = mapped_column(NODE_ID)
    path: Mapped[str] = mapped_column(String(64), default="", server_default="")
    message: Mapped[str] = mapped_column(Text)
    data: Mapped[JsonB] = mapped_column(nullable=True)
