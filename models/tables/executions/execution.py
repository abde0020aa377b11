"""Runs of workflows: their state, the state of each of their nodes, their events, and quarantined ones."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base, Credits, JsonB, Record, ShortText, UpdatedAtMixin, UtcTime, enum_column
from models.rules.executions.states import CrashState, ExecutionStatus, NodeStatus
from models.rules.prices.pricing import Priority
from models.tables.workflows.workflow import WorkflowVersion

NODE_ID = String(64)

# The runs that the index for searching has, and the words under which it has them, as PostgreSQL writes both back; the
# owner's id is one of the words.
SEARCHED_RUNS = "error IS NOT NULL OR tags IS NOT NULL"
SEARCHED = (
    "(((array_to_tsvector(ARRAY['owner '::text || user_id::text])"
    " || to_tsvector('simple'::regconfig, workflow_name::text))"
    " || to_tsvector('simple'::regconfig, COALESCE(error, '{}'::jsonb)))"
    " || to_tsvector('simple'::regconfig, COALESCE(tags, '[]'::jsonb)))"
)


class Execution(UpdatedAtMixin, Record):
    """A run of a workflow version, the lease of its driver, and its cost.

    Drivers write these rows by raw statements; every claim raises `epoch`, which fences their writes.
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
        # An attempt of a step of the parent starts one child, even if it is repeated.
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
        # For the question whether a run used a version.
        Index("ix_workflow_executions_of_version", "version_id"),
        Index("ix_workflow_executions_owned", "user_id", text("created_at DESC"), text("id DESC")),
        Index("ix_workflow_executions_by_status", "user_id", "status", text("created_at DESC"), text("id DESC")),
        # For the runs of all users that were submitted on a day; rows are inserted in order of time.
        Index(
            "ix_workflow_executions_age",
            "created_at",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 16},
        ),
        # The status is the last column, so that a rare one is found without visiting the rows of the others.
        Index("ix_workflow_executions_of_workflow", "workflow_id", text("created_at DESC"), text("id DESC"), "status"),
        # For the few runs that have not ended: sweeps search them, and the queue's length counts them.
        Index(
            "ix_workflow_executions_queued", "priority", "created_at", "id", postgresql_where=text("status = 'queued'")
        ),
        Index(
            "ix_workflow_executions_leased", "lease_expires_at", postgresql_where=text("lease_expires_at IS NOT NULL")
        ),
        # A time of a schedule starts one run; the other one is for the list of a schedule's runs.
        Index(
            "uq_workflow_executions_scheduled",
            "schedule_id",
            "scheduled_for",
            unique=True,
            postgresql_where=text("schedule_id IS NOT NULL"),
        ),
        Index(
            "ix_workflow_executions_of_schedule",
            "schedule_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("schedule_id IS NOT NULL"),
        ),
        Index("ix_workflow_executions_driven", "user_id", postgresql_where=text("status IN ('running', 'cancelling')")),
        Index(
            "ix_workflow_executions_deferred",
            "user_id",
            "created_at",
            "id",
            postgresql_where=text("status IN ('queued', 'waiting') AND deferred_at IS NOT NULL"),
        ),
        # For the runs that wait for the next month's quota of API calls, or for a higher tier.
        Index(
            "ix_workflow_executions_quota_exhausted",
            "user_id",
            postgresql_where=text("status = 'waiting' AND waiting_for->'types' ? 'api_calls'"),
        ),
        Index("ix_workflow_executions_due", "wake_at", postgresql_where=text("status = 'waiting'")),
        Index(
            "ix_workflow_executions_overdue",
            text("LEAST(start_by, deadline_at)"),
            postgresql_where=text("finished_at IS NULL"),
        ),
        # For pruning: runs that ended, those that are kept for now, and those that are being removed.
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
        Index(
            "ix_workflow_executions_searched",
            text(SEARCHED),
            postgresql_using="gin",
            postgresql_where=text(SEARCHED_RUNS),
            postgresql_with={"fastupdate": "off"},  # a search would read the whole list of pending entries
        ),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    workflow_id: Mapped[UUID] = mapped_column(ForeignKey("workflows.id"))
    version_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_versions.id"))
    # The ended run whose results this one reuses; no foreign key, because history is pruned.
    retry_of: Mapped[UUID | None]
    # The step of the run that started this one and waits for it; None for a run that a user started.
    parent_execution_id: Mapped[UUID | None]
    parent_node_id: Mapped[str | None] = mapped_column(NODE_ID)
    parent_path: Mapped[str | None] = mapped_column(String(64))
    parent_attempt: Mapped[int | None]
    depth: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # number of runs above it in the tree
    tried_node_id: Mapped[str | None] = mapped_column(NODE_ID)  # of a trial: the node that runs, alone
    # The schedule that started it, and the time for which; no foreign key, because schedules are deleted.
    schedule_id: Mapped[UUID | None]
    scheduled_for: Mapped[UtcTime | None]
    workflow_name: Mapped[ShortText]  # as it was when the run was submitted
    status: Mapped[ExecutionStatus] = mapped_column(
        enum_column(ExecutionStatus, "status_known"),
        default=ExecutionStatus.QUEUED,
        server_default=ExecutionStatus.QUEUED,
    )
    priority: Mapped[Priority] = mapped_column(enum_column(Priority, "priority_known"))
    input: Mapped[JsonB] = mapped_column(nullable=True)
    output: Mapped[JsonB] = mapped_column(nullable=True)
    error: Mapped[JsonB] = mapped_column(nullable=True)
    tags: Mapped[JsonB] = mapped_column(nullable=True)  # a list of texts, for its owner to find it; None without any
    request_id: Mapped[str | None] = mapped_column(String(64))  # of the request that caused it, for logs
    traceparent: Mapped[str | None] = mapped_column(String(55))  # the span that caused it, if requests are traced
    price_list: Mapped[str] = mapped_column(String(40))
    credits_cap: Mapped[Credits]  # the held credits, the most that it may cost; reserving for a child lowers it
    credits_charged: Mapped[Credits] = mapped_column(default=Decimal(0), server_default=text("0"))
    # The part of the cap that its owner added while it waited for credits; it is not refunded to a parent.
    credits_added: Mapped[Credits] = mapped_column(default=Decimal(0), server_default=text("0"))
    nodes_total: Mapped[int]
    nodes_executed: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    progress: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))  # see `run_size`
    fuel_spent: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))  # by its expressions
    last_seq: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))  # of the newest event
    epoch: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    deadline_at: Mapped[UtcTime | None]  # when it must have ended; None for runs from before deadlines existed
    start_by: Mapped[UtcTime | None]  # when it must have started; None once it has
    lease_owner: Mapped[ShortText | None]
    lease_expires_at: Mapped[UtcTime | None]
    cancel_requested_at: Mapped[UtcTime | None]
    wake_at: Mapped[UtcTime | None]
    waiting_for: Mapped[JsonB] = mapped_column(nullable=True)
    crash_state: Mapped[CrashState] = mapped_column(
        enum_column(CrashState, "crash_state_known"), default=CrashState.CLEAR, server_default=CrashState.CLEAR
    )
    crash_log: Mapped[JsonB] = mapped_column(nullable=True)  # [{worker, epoch, at}]: when it was found dead
    # Since when it waits for another run of its owner to end, which then enqueues it.
    deferred_at: Mapped[UtcTime | None]
    enqueued_at: Mapped[UtcTime | None]  # when its message was last published; None before the first time
    started_at: Mapped[UtcTime | None]
    finished_at: Mapped[UtcTime | None]
    kept_until: Mapped[UtcTime | None]  # when pruning checks it again; None: at the shortest retention of all tiers
    expired_at: Mapped[UtcTime | None]  # since when only its receipt is shown and its rows are being removed

    version: Mapped[WorkflowVersion] = relationship(viewonly=True)


class NodeExecution(Base):
    """The state of a node of a run; a node inside a loop has a row for each iteration, which `path` names."""

    __tablename__ = "node_executions"
    __table_args__ = (
        CheckConstraint("credits >= 0", name="credits_not_negative"),
        CheckConstraint("credits_due >= 0", name="credits_due_not_negative"),
    )

    execution_id: Mapped[UUID] = mapped_column(
        ForeignKey("workflow_executions.id", ondelete="CASCADE"), primary_key=True
    )
    node_id: Mapped[str] = mapped_column(NODE_ID, primary_key=True)
    # Iteration indexes from the outside in, such as "3" or "3.0"; empty at the top level.
    path: Mapped[str] = mapped_column(String(64), primary_key=True, default="", server_default="")
    status: Mapped[NodeStatus] = mapped_column(enum_column(NodeStatus, "status_known"))
    attempt: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    port: Mapped[str | None] = mapped_column(Text)
    output: Mapped[JsonB] = mapped_column(nullable=True)
    error: Mapped[JsonB] = mapped_column(nullable=True)
    credits: Mapped[Credits] = mapped_column(default=Decimal(0), server_default=text("0"))
    # The charge if it is abandoned: its price once its request was sent, reserved from the held credits until it ends.
    credits_due: Mapped[Credits] = mapped_column(default=Decimal(0), server_default=text("0"))
    external_ref: Mapped[JsonB] = mapped_column(nullable=True)  # why it waits, or the id of its effect at the provider
    started_at: Mapped[UtcTime | None]
    finished_at: Mapped[UtcTime | None]


class ExecutionEvent(Base):
    """An event of a run; `seq` counts from 1, so that readers can continue after the last event they saw."""

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


class QuarantinedRun(Base):
    """A run that crashed its workers; an administrator decides about it, and its row is not pruned.

    `crashes` is a list of `{at, worker}`, oldest first.
    """

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
