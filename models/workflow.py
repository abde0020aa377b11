"""Workflows and their versions. A version never changes: each save of another graph adds one, and runs are pinned."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Changing, Credits, JsonB, Record, ShortText, UtcTime, words
from models.rules.pricing import PRICE_LIST
from models.rules.states import WorkflowStatus


class WorkflowVersion(Record):
    """One graph as it was saved, with the linter's verdict on it; the database refuses to change it."""

    __tablename__ = "workflow_versions"
    __table_args__ = (
        CheckConstraint("number > 0", name="number_positive"),
        CheckConstraint("node_count >= 0", name="node_count_not_negative"),
        CheckConstraint("worst_case_credits >= 0", name="worst_case_not_negative"),
        UniqueConstraint("workflow_id", "number"),
    )

    workflow_id: Mapped[UUID] = mapped_column(ForeignKey("workflows.id", ondelete="CASCADE"))
    number: Mapped[int]
    graph: Mapped[JsonB]  # {nodes, connections} as the client sent them
    node_count: Mapped[int]
    # What keeps this graph from running, as [{field, message}]; empty when nothing does.
    lint_errors: Mapped[JsonB] = mapped_column(default=list, server_default=text("'[]'"))
    # Without `calls`, by that price list; by another one it is reckoned anew.
    worst_case_credits: Mapped[Credits] = mapped_column(default=Decimal(0), server_default=text("0"))
    price_list: Mapped[str] = mapped_column(String(40), default=PRICE_LIST, server_default=text("'2026-11'"))
    # The workflows that it runs, as {node, field, workflow, times, certain}; what they cost changes with them.
    calls: Mapped[JsonB] = mapped_column(default=list, server_default=text("'[]'"))


class Workflow(Changing, Record):
    """A user's workflow; deleting it hides it, because the history of its runs stays."""

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
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[ShortText]
    description: Mapped[str] = mapped_column(Text, default="", server_default="")
    status: Mapped[WorkflowStatus] = mapped_column(
        words(WorkflowStatus, "status_known"), default=WorkflowStatus.ACTIVE, server_default=WorkflowStatus.ACTIVE
    )
    latest_version: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    # Seconds that its runs have from their acceptance to their end, and to their start; None: the deployment's default.
    timeout: Mapped[int | None]
    max_queue_seconds: Mapped[int | None]
    deleted_at: Mapped[UtcTime | None]

    latest: Mapped[WorkflowVersion] = relationship(
        primaryjoin="and_(WorkflowVersion.workflow_id == Workflow.id,"
        " WorkflowVersion.number == Workflow.latest_version)",
        foreign_keys="[WorkflowVersion.workflow_id, WorkflowVersion.number]",
        viewonly=True,
        uselist=False,
    )

    # Not stored: it follows from the owner's tier, whenever a service shows the row.
    __allow_unmapped__ = True
    read_only_reason: str | None = None
