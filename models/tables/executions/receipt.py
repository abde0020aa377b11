"""Receipts of runs whose history was pruned, with the columns that statistics need."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Credits, JsonB, ShortText, UtcTime


class Receipt(Base):
    """The receipt of a pruned run. `document` is the receipt as the API shows it, with amounts as text."""

    __tablename__ = "receipts"
    __table_args__ = (
        CheckConstraint("status IN ('success', 'failed', 'cancelled')", name="status_over"),
        # Statistics still count these runs: the view `counted_runs` has both these and the stored runs.
        Index("ix_receipts_owned", "user_id", "created_at"),
        Index("ix_receipts_of_workflow", "workflow_id", "created_at"),
        Index("ix_receipts_age", "created_at"),
    )

    execution_id: Mapped[UUID] = mapped_column(primary_key=True)  # no foreign key: the run is gone
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    workflow_id: Mapped[UUID] = mapped_column(ForeignKey("workflows.id"))
    workflow_name: Mapped[ShortText]
    status: Mapped[str] = mapped_column(String(20))
    nodes_executed: Mapped[int]
    credits_charged: Mapped[Credits]
    created_at: Mapped[UtcTime]  # when the run was submitted
    started_at: Mapped[UtcTime | None]
    finished_at: Mapped[UtcTime]
    tried_node_id: Mapped[str | None] = mapped_column(String(64))  # of a trial
    document: Mapped[JsonB]
