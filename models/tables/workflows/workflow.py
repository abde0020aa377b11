"""Workflows and their versions. A version never changes: saving another graph adds one, and a run keeps its version.

An unlisted version has no number: it is not in the history of its workflow, and only runs refer to it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Credits, JsonB, Record, ShortText, UpdatedAtMixin, UtcTime, enum_column
from models.rules.executions.states import WorkflowStatus
from models.rules.prices.pricing import PRICE_LIST
from models.serialization import Json

UNDO_DELETION = timedelta(minutes=10)  # for which a deleted workflow or template can be restored


class WorkflowVersion(Record):
    """A workflow as it was saved, or the part of it that a trial runs, with the result of the linter.

    The database rejects every update of these rows but one: a version may become unlisted.
    """

    __tablename__ = "workflow_versions"
    __table_args__ = (
        CheckConstraint("number > 0", name="number_positive"),
        CheckConstraint("node_count >= 0", name="node_count_not_negative"),
        CheckConstraint("worst_case_credits >= 0", name="worst_case_not_negative"),
        UniqueConstraint("workflow_id", "number"),
        Index("ix_workflow_versions_unlisted", "created_at", postgresql_where=text("number IS NULL")),  # for pruning
    )

    workflow_id: Mapped[UUID] = mapped_column(ForeignKey("workflows.id", ondelete="CASCADE"))
    number: Mapped[int | None]  # None: unlisted
    name: Mapped[ShortText]
    description: Mapped[str] = mapped_column(Text, default="", server_default="")
    graph: Mapped[JsonB]  # {nodes, connections} as the client sent them
    node_count: Mapped[int]
    # Why this graph cannot run, as [{field, message, nodeId}]; empty if it can.
    lint_errors: Mapped[JsonB] = mapped_column(default=list, server_default=text("'[]'"))
    # Without its `calls`, by `price_list`; it is computed again for another price list.
    worst_case_credits: Mapped[Credits] = mapped_column(default=Decimal(0), server_default=text("0"))
    price_list: Mapped[str] = mapped_column(String(40), default=PRICE_LIST, server_default=text("'2026-11'"))
    # The OpenClaw agents that it names, as [{node, field, agent}], because the list of existing agents changes.
    agents: Mapped[JsonB] = mapped_column(default=list, server_default=text("'[]'"))
    # The session or access key of the editor that saved it by itself, and when the first of these saves was made that
    # it stands for; None for a save that somebody asked for.
    editor: Mapped[UUID | None]
    begun_at: Mapped[UtcTime] = mapped_column(server_default=func.now())
    # The workflows that it runs, as [{node, field, workflow, times, certain}], because their costs change.
    calls: Mapped[JsonB] = mapped_column(default=list, server_default=text("'[]'"))

    @property
    def first_saved_at(self) -> datetime:
        """When the first of the saves was made that it stands for; older rows have a later `begun_at`."""
        return min(self.begun_at, self.created_at)


class Workflow(UpdatedAtMixin, Record):
    """A user's workflow. The row of a deleted one stays, because receipts of its runs refer to it."""

    __tablename__ = "workflows"
    __table_args__ = (
        CheckConstraint("latest_version > 0", name="latest_version_positive"),
        CheckConstraint("timeout > 0 AND max_queue_seconds > 0", name="times_positive"),
        Index(
            "ix_workflows_owned",
            "user_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "ix_workflows_deleted",
            "deleted_at",
            postgresql_where=text("deleted_at IS NOT NULL AND history_removed_at IS NULL"),
        ),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[ShortText]
    description: Mapped[str] = mapped_column(Text, default="", server_default="")
    # As set by its owner; see `current_status`.
    status: Mapped[WorkflowStatus] = mapped_column(
        enum_column(WorkflowStatus, "status_known"), default=WorkflowStatus.ACTIVE, server_default=WorkflowStatus.ACTIVE
    )
    latest_version: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    # Seconds from a run's acceptance until it must end, and until it must start; None: the default of the deployment.
    timeout: Mapped[int | None]
    max_queue_seconds: Mapped[int | None]
    deleted_at: Mapped[UtcTime | None]
    history_removed_at: Mapped[UtcTime | None]  # when the history of a deleted workflow's runs was pruned

    latest: Mapped[WorkflowVersion] = relationship(
        primaryjoin="and_(WorkflowVersion.workflow_id == Workflow.id,"
        " WorkflowVersion.number == Workflow.latest_version)",
        foreign_keys="[WorkflowVersion.workflow_id, WorkflowVersion.number]",
        viewonly=True,
        uselist=False,
    )

    # Not stored; set by services that return the row.
    __allow_unmapped__ = True
    read_only_reason: str | None = None  # from the owner's tier
    problems: Sequence[Json] = ()  # from the newest graph and the workflows that it runs

    @property
    def current_status(self) -> WorkflowStatus:
        """The status set by its owner, or `draft` while the workflow cannot run."""
        return WorkflowStatus.DRAFT if self.problems else self.status
